/** One sequence as the step loop sees it: ids, slot, sampling and where its tokens go. */
import type { LayerPlan, SequenceId } from "../scheduler/work-plan.ts";
import type { SchedulingOptions } from "./request.ts";
import type { ResolvedSampling, SampledToken } from "./sampler.ts";

export interface SequenceStart {
  readonly promptIds: readonly number[];
  /** At least 1. */
  readonly maxTokens: number;
  readonly sampling: ResolvedSampling;
  readonly scheduling?: SchedulingOptions;
  /** 0, the default, is the base model. */
  readonly adapter?: number;
  /** Which stages its rows run; default those of the model. */
  readonly layerPlan?: LayerPlan;
  /** Another answer to the prompt of this sequence. */
  readonly forkOf?: SequenceId;
  /** Takes each token in order; true ends the sequence with that token. */
  onToken(token: SampledToken): boolean;
  /** Called once, after the last token; not after an abort. */
  onFinish(reason: "stop" | "length"): void;
  /** Called once when a later request supersedes it, or the loop itself fails. */
  onError(error: unknown): void;
}

export class LiveSequence {
  readonly id: SequenceId;
  readonly start: SequenceStart;
  /** Prompt and the outputs that were read back. */
  readonly ids: number[];
  /** Outputs whose sampling has been recorded; runs ahead of `ids`, and survives a preemption. */
  numSampled = 0;
  /** Sampler slot while it runs. */
  slot: number | undefined;

  constructor(id: SequenceId, start: SequenceStart) {
    this.id = id;
    this.start = start;
    this.ids = [...start.promptIds];
  }
}
