/**
 * Who may start beside those that run: one policy a file, chosen by name. A policy decides about the
 * tokens of `full` KV groups; how the pools are cut into blocks is known to `admission.ts`.
 */
import type { Random } from "../random.ts";
import type { Sequence } from "../sequence.ts";
import { conservative } from "./conservative.ts";
import { optimistic } from "./optimistic.ts";
import { oracle } from "./oracle.ts";
import { pastFuture } from "./past-future.ts";

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

export type AdmissionName = "past-future" | "conservative" | "optimistic" | "oracle";

export const admissionPolicies: Record<AdmissionName, (random: Random) => AdmissionPolicy> = {
  "past-future": pastFuture,
  conservative,
  optimistic,
  oracle,
};
