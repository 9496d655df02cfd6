/**
 * All that leaves the scheduler: one step as plain data.
 * Work is a rectangle, tokens × stages; there is no prefill mode and no decode mode.
 */

export type SequenceId = number;

/** Tokens [from, to) of a sequence, prompt and output counted together. */
export interface TokenRange {
  readonly from: number;
  readonly to: number;
}

/** Half-open over `embed, (attention, mlp) × L, head`: 2·L + 2 stages; layers that may run twice count twice. */
export interface StageRange {
  readonly from: number;
  readonly to: number;
}

/** Which stages a row runs, of those that it comes to. `undefined` on a row means all. */
export interface LayerPlan {
  /** By stage; embedding and head always run. */
  readonly runs: readonly boolean[];
  /** By stage: an attention that does not run, and of which keys and values are kept all the same. */
  readonly fills?: readonly boolean[];
  /** By KV group: whether a token keeps anything there. */
  readonly keeps: readonly boolean[];
  /**
   * The device decides which of the stages run, for a row that begins with a prompt's first token. The
   * outcome tells what it has decided, and the sequence waits for that.
   */
  readonly isRouted?: boolean;
  /** Of single tokens: the device may let them leave off, and fill in what they leave out. */
  readonly exits?: LayerExits;
  /** Equal plans have equal hashes; part of the prefix-cache key. */
  readonly hash: string;
}

export interface LayerExits {
  /** Attention before which a row may leave off, rising; and the layers whose it is. */
  readonly stages: readonly number[];
  readonly layers: readonly number[];
  /** By exit: it does where its likeliest next token is at least so probable. */
  readonly thresholds: readonly number[];
  /** Rows of a step leave off together or not at all. */
  readonly together: boolean;
}

export interface PlannedRow {
  readonly sequenceId: SequenceId;
  readonly tokens: TokenRange;
  readonly stages: StageRange;
  readonly layerPlan?: LayerPlan;
  /**
   * `draft`: what it samples is a guess, and what it keeps is computed again. `verify`: it computes the
   * tokens of a round of drafts, and the one before them.
   */
  readonly kind: "compute" | "draft" | "verify";
  /** Sample from the last token's logits; of `verify`, from each token's. */
  readonly sample: boolean;
  /** Of a round: the tokens that are drafts. Rows before this one have drafted those before. */
  readonly drafts?: TokenRange;
  /**
   * One block table per KV group, long enough for `tokens.to`. Entry i holds tokens
   * [i·blockTokens, (i+1)·blockTokens); 0 (the trash block) where a window has passed. Empty for a
   * group in which the layer plan keeps nothing.
   */
  readonly blockTables: readonly (readonly number[])[];
  /**
   * By KV group: the place of the row's first token in the block table, where some tokens before it keep
   * nothing in the group; undefined where all do.
   */
  readonly places?: readonly number[];
}

/**
 * Copy one block of a group, in all its layers, before the rows run: the last, partly filled block of
 * a prompt that a fork goes on from. Nothing is both source and target of a plan's copies.
 */
export interface BlockCopy {
  readonly group: number;
  readonly from: number;
  readonly to: number;
}

/** One block of a sequence goes to the host, or comes back into another block. */
export interface BlockSwap {
  readonly sequenceId: SequenceId;
  readonly group: number;
  /** In the sequence: it holds tokens [index·blockTokens, (index+1)·blockTokens). */
  readonly index: number;
  readonly block: number;
}

export interface WorkPlan {
  /** Consecutive from 0; outcomes are committed in this order. */
  readonly id: number;
  /**
   * Taken back since the last plan: they hold no block any more, and their next row begins at token
   * 0, or where the prefix cache or what the host keeps ends, by which time all they sampled has
   * been committed. Goes before the rows.
   */
  readonly preempted: readonly SequenceId[];
  /** Read them before anything is written; commit the plan when the host has them. */
  readonly swapOut: readonly BlockSwap[];
  /** Written before the rows run; the plans that read them out have been committed. */
  readonly swapIn: readonly BlockSwap[];
  readonly rows: readonly PlannedRow[];
  readonly copies: readonly BlockCopy[];
  readonly predictedMs: number;
  /** How the step is handed to the GPU: one after another, and mostly it is one. */
  readonly submissions: readonly PlannedSubmission[];
}

export interface PlannedSubmission {
  /** Ends before this stage; the last ends behind all. */
  readonly to: number;
  readonly predictedMs: number;
}

/** What the runtime learnt when a plan's results were read back. */
export interface PlanOutcome {
  readonly planId: number;
  readonly gpuMs: number;
  /** One entry for each row with `sample`, in row order. */
  readonly sampled: readonly SampledOutcome[];
  /** What the device has decided of the row whose plan is routed. */
  readonly routed?: { readonly sequenceId: SequenceId; readonly layerPlan: LayerPlan };
}

export interface SampledOutcome {
  readonly sequenceId: SequenceId;
  /** Ends the sequence there. */
  readonly finished: boolean;
  /** Share of its layers that the device has run, where it decides; default all. */
  readonly executed?: number;
  /** For the prefix cache: without it, neither this token nor those behind it are shared. */
  readonly tokenId?: number;
  /** Of a row that verifies: the tokens that stand, one at least; `finished` ends with the last. */
  readonly tokenIds?: readonly number[];
  /** Drafts that the host has for what follows, of a sequence whose drafter asks for them. */
  readonly proposed?: number;
}

/** A KV group of the model: layers that share block tables. */
export interface KvGroup {
  /** A latent group differs from a full one in its bytes alone: both keep every token. */
  readonly kind: "full" | "window" | "latent";
  /** Tokens a query sees, itself included; only for `window`. */
  readonly window?: number;
  /** Blocks in the group's pool, the trash block 0 included. */
  readonly numBlocks: number;
}
