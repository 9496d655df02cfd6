/** What an engine is made with, and where it comes from. */
import type { WorkPlan } from "../scheduler/work-plan.ts";
import type { CalibratedPlansOptions } from "./calibrated-plans.ts";
import type { ChatFormatName } from "./chat-format/chat-format.ts";
import type { Device } from "./device.ts";
import type { LoadModelOptions } from "./load-options.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import type { SchedulerOptions } from "./model-scheduler.ts";
import type { Port } from "./remote/port.ts";
import type { PlanListener } from "./telemetry.ts";

export interface EngineOptions extends LoadModelOptions, SchedulerOptions, CalibratedPlansOptions {
  /** How the model writes thinking and tool calls; by default what its chat template shows. */
  readonly chatFormat?: ChatFormatName;
  /** Sees every plan, for traces and tests. */
  readonly onPlan?: (plan: WorkPlan) => void;
  /** Sees when every plan was made, submitted and read back, for cost models. */
  readonly onRead?: PlanListener;
}

/** Where an engine comes from, and comes from again when its device is lost. */
export interface EngineSource {
  readonly folder: ModelFolder;
  /** What requests call the model; by default the folder's name. */
  readonly name?: string;
  readonly device: Device;
  /** Starts the worker that knows grammars; left out, they are on the engine's thread. */
  readonly constraintPort?: () => Port | Promise<Port>;
  /** Another device of the same platform; left out, the engine ends with the one it has. */
  readonly reopen?: () => Promise<Device>;
}
