// What the engine suite tests: a door, and the engine behind it to look at. Opening is the
// harness's business, since Node, a browser and a channel differ in it.

import type { KvStorage } from "../../kernels/kv-layout.ts";
import { createEngineWith, openDevice, type Platform } from "../../runtime/create-engine.ts";
import type { Device } from "../../runtime/device.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import type { WorkPlan } from "../../scheduler/index.ts";

/** The public door: all that a user of an engine calls. */
export type EngineDoor = Pick<Engine, "generate" | "chat" | "completions" | "models" | "close">;

export interface Step {
  readonly plan: WorkPlan;
  readonly dispatches: number;
}

export interface Subject {
  readonly door: EngineDoor;
  /** Behind the door: plans, counters and blocks are read here, requests never made here. */
  readonly engine: Engine;
  /** Every step so far. */
  readonly steps: readonly Step[];
}

/** Opened before the first case: software GPUs take seconds to compile, so cases share them. */
export interface Subjects {
  readonly main: () => Subject;
  /** KV cache in `otherKv`, no prefix cache; the main one has f16 and hits. */
  readonly other: () => Subject;
  readonly otherKv: KvStorage;
  /** Room for `SMALL_BLOCKS` blocks of 32 tokens, and no more. */
  readonly small: () => Subject;
  /** Random runs of requests and aborts. */
  readonly abortRuns: number;
  /** Running sequences are taken back all the time, so that batches stay small. */
  readonly takesBack: boolean;
}

export const SMALL_BLOCKS = 5;
/** Prompts longer than this are cut in chunks. */
export const MAX_TOKENS_PER_PLAN = 64;
export const MAX_ROWS = 16;

/** @param device Share this device, and so its pipelines; by default the engine opens its own. */
export type OpenEngine = (options?: EngineOptions, device?: Device) => Promise<Subject>;

export interface OpenerOptions {
  readonly platform: Platform;
  readonly folder: ModelFolder;
  readonly device: "gpu" | "reference";
  /** The door that the tests go through; the engine itself by default. */
  readonly door?: (engine: Engine) => Promise<EngineDoor>;
}

export function opener({ platform, folder, device: kind, door }: OpenerOptions): OpenEngine {
  return async (options, device) => {
    const steps: Step[] = [];
    let numDispatches = 0;
    const onPlan = (plan: WorkPlan) => {
      const { dispatches } = engine.device.counters;
      steps.push({ plan, dispatches: dispatches - numDispatches });
      numDispatches = dispatches;
    };
    const all: EngineOptions = { ...options, onPlan };
    // Opened here, so that its loss is the end of those on it.
    const where = { model: folder, device: device ?? (await openDevice(platform, kind)) };
    const engine: Engine = await createEngineWith(platform, { ...all, ...where });
    return { door: (await door?.(engine)) ?? engine, engine, steps };
  };
}
