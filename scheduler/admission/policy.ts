/** What a policy of admission is asked. It decides about the tokens of `full` KV groups. */
import type { Sequence } from "../sequence.ts";

export interface AdmissionPolicy {
  /** @param running At least one; the candidate is not among them. */
  admits(candidate: Sequence, running: readonly Sequence[], pool: KvPool): boolean;
  /** It ran, and ended after `numSampledTokens`. */
  observeEnd?(sequence: Sequence): void;
}

/** The smallest pool of the `full` groups: all of them hold the same tokens. */
export interface KvPool {
  readonly numBlocks: number;
  readonly blockTokens: number;
}
