/** What a model runner is made of: a model that is placed on a device, and the sizes of its largest step. */
import type { DecoderSpec } from "../models/decoder.ts";
import type { MatmulChoices } from "../models/matmul-choice.ts";
import type { Weight } from "../models/weights.ts";
import type { AdapterPlan } from "./adapters/adapter-plan.ts";
import type { Device } from "./device.ts";
import type { ResidentExperts } from "./experts/resident-experts.ts";
import type { KvPlan } from "./kv-cache.ts";

export interface ModelRunnerOptions {
  readonly device: Device;
  readonly spec: DecoderSpec;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly adapters?: AdapterPlan;
  /** Of a model whose experts come and go. */
  readonly experts?: ResidentExperts;
  readonly kvPlan: KvPlan;
  readonly matmul: MatmulChoices;
  /** Longest sequence, in tokens. */
  readonly maxContext: number;
  readonly maxTokensPerPlan: number;
  readonly maxRows: number;
  /** Rows that may get logits in one step; at least `maxRows`. */
  readonly maxLogitRows: number;
  /** Drafts of one sequence that are not verified yet. */
  readonly maxDraftTokens: number;
  /** Rows that may wait between two steps for the layers that they lack. */
  readonly maxParkedTokens: number;
  /** Layers have routers among the weights. */
  readonly isRouted: boolean;
}
