/** What a model runner is made of: a model that is placed on a device, and the sizes of its largest step. */
import type { DecoderSpec } from "../models/decoder.ts";
import type { MatmulChoices } from "../models/matmul-choice.ts";
import type { Weight } from "../models/weights.ts";
import type { PlannedSubmission } from "../scheduler/work-plan.ts";
import type { AdapterPlan } from "./adapters/adapter-plan.ts";
import type { Device } from "./device.ts";
import type { ResidentExperts } from "./experts/resident-experts.ts";
import type { KvPlan } from "./kv-cache.ts";

/** Of the largest step, and of what one step may leave for a later one. */
export interface StepSizeLimits {
  /** Longest sequence: the model's own limit, or what the KV cache holds. */
  readonly maxContext: number;
  readonly maxTokensPerPlan: number;
  readonly maxRows: number;
  /** Rows that may get logits in one step; at least `maxRows`. */
  readonly maxLogitRows: number;
  /** Drafts that are not verified yet, of all sequences together. */
  readonly maxDraftTokens: number;
  /** Rows whose activations may wait between two plans: of two prompts, each cut by layers. */
  readonly maxParkedTokens: number;
}

export interface ModelRunnerOptions extends StepSizeLimits {
  readonly device: Device;
  readonly spec: DecoderSpec;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly adapters?: AdapterPlan;
  /** Of a model whose experts come and go. */
  readonly experts?: ResidentExperts;
  readonly kvPlan: KvPlan;
  readonly matmul: MatmulChoices;
  /** Layers have routers among the weights. */
  readonly isRouted: boolean;
}

export interface RecordOptions {
  /** Rows of the step that get logits instead of those that are sampled; to look at every position. */
  readonly logitRows?: readonly number[];
  /** `hidden` is to be whole when the step has run: the last MLP is for all tokens. */
  readonly needsHidden?: boolean;
  /** As the plan has cut the step; one by default. */
  readonly submissions?: readonly PlannedSubmission[];
}
