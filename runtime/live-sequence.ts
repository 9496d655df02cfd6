/** One sequence as the step loop sees it: ids, slot, sampling and where its tokens go. */
import type { Alternation, Drafter, PromptLookup } from "../scheduler/index.ts";
import type { LayerPlan, SequenceId } from "../scheduler/work-plan.ts";
import type { Guided } from "./guide/guided.ts";
import type { Pooling } from "./pooling.ts";
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
  /** What most tokens behind the prompt run. */
  readonly alternation?: Alternation;
  /** Guesses tokens, to be verified several at once; never changes one. */
  readonly drafter?: Drafter;
  /** Proposes drafts from what was read so far, for a drafter that asks the host. */
  readonly lookup?: PromptLookup;
  /** Says what may come next. */
  readonly guide?: Guided;
  /** It is a text that becomes an embedding: nothing of it is sampled. */
  readonly pooling?: Pooling;
  /** Takes the embedding, which ends it. */
  onPooled?(vector: Float32Array): void;
  /** Of a routed plan: what the device has decided, by layer, as a plan. */
  onRouted?(decisions: Uint32Array): LayerPlan;
  /** Another answer to the prompt of this sequence. */
  readonly forkOf?: SequenceId;
  /** Takes each token in order; true ends the sequence with that token. */
  onToken(token: SampledToken): boolean;
  /**
   * Called once, after the last token; not after an abort.
   * @param layerTokens Layers that were run for tokens behind the prompt, drafts included: one for each
   *   token and layer.
   */
  onFinish(reason: "stop" | "length", layerTokens: number): void;
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
  /** Of rows that were read back: tokens times the layers that they ran. */
  layerTokens = 0;
  /** Ids of the round under way, as they are read; another list for each round. */
  drafts: number[] = [];
  /** Sampler slot while it runs. */
  slot: number | undefined;

  /** Drafts for what follows the last token that was read. */
  proposal: readonly number[] = [];

  constructor(id: SequenceId, start: SequenceStart) {
    this.id = id;
    this.start = start;
    this.ids = [...start.promptIds];
    for (const token of start.promptIds) start.lookup?.push(token);
  }

  /** It runs, and has more to say. */
  get isGoingOn(): boolean {
    return this.slot !== undefined && this.numSampled < this.start.maxTokens;
  }

  get numRead(): number {
    return this.ids.length - this.start.promptIds.length;
  }

  /** Tokens that nobody has sampled. @returns Whether the answer ends with the last. */
  give(tokenIds: readonly number[]): boolean {
    this.numSampled += tokenIds.length;
    this.propose(tokenIds);
    return tokenIds.some((id) => {
      this.ids.push(id);
      return this.start.onToken({ id });
    });
  }

  /** What was sampled and not read is known to nobody: it is sampled again. */
  forgetUnread(): void {
    this.slot = undefined;
    this.drafts = [];
    this.numSampled = this.numRead;
  }

  /** @returns Drafts that the host has, now that these tokens were read. */
  propose(tokenIds: readonly number[]): number {
    const { lookup, drafter } = this.start;
    if (!lookup || !drafter) return 0;
    for (const token of tokenIds) lookup.push(token);
    this.proposal = lookup.propose(drafter.max);
    return this.proposal.length;
  }
}
