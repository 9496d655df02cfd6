/** One round of speculation: drafts, one after another, and the row that verifies them all at once. */
import type { LayerPlan } from "../work-plan.ts";

export interface DraftWish {
  /** Drafts, at least 1. */
  readonly tokens: number;
  /** What rows that draft run; undefined where the host has proposed the drafts. */
  readonly layerPlan: LayerPlan | undefined;
  /** Which of the drafter's ways it is. */
  readonly way: number;
}

export interface DraftRound extends DraftWish {
  /** What the rows that draft execute, in plain tokens. */
  readonly draftCost: number;
  /** Drafts that are verified: those that the host lets pass, where it is to see them; undefined until then. */
  fitting: number | undefined;
  /** Planned so far. */
  numDrafted: number;
  /** Its last row is planned: the sequence waits for the outcome. */
  isVerifying: boolean;
}

/**
 * Decides when and how far to draft, for all sequences that draft alike. Told of each commit of theirs;
 * it never changes a token.
 */
export interface Drafter {
  /** Most drafts of a round. */
  readonly max: number;
  /** Drafts follow what the host has read: nothing is to be sampled beyond that. */
  readonly waitsForHost: boolean;
  /**
   * Of the next round; undefined goes on without.
   * @param proposed Drafts that the host has, if it is the one that drafts.
   */
  next(proposed: number): DraftWish | undefined;
  /** A round was verified: so many of its drafts were taken. */
  verified(round: DraftRound, accepted: number): void;
  /** Tokens were committed. */
  committed(nowMs: number, tokens: number, drafted: boolean): void;
  /** One of its sequences starts: the time until now tells nothing. */
  pause(): void;
}
