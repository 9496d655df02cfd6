/**
 * Drafts that the host proposes from what it has read: rounds without rows that draft. Whether that pays
 * includes the wait for each token to be read, of which plain steps that run ahead know nothing.
 */
import { DraftLength } from "./draft-length.ts";
import { DraftGuard } from "./guard.ts";
import type { Drafter, DraftRound, DraftWish } from "./round.ts";

/** Drafts cost nothing here, so a round is as long as rows in it are nearly free. */
const COSTS = { draft: 0.02, verify: 1.05 };

export class HostDrafter implements Drafter {
  readonly max: number;
  readonly guard = new DraftGuard();
  readonly #length: DraftLength;
  readonly #guarded: boolean;

  constructor({ max, guarded = true }: { readonly max: number; readonly guarded?: boolean }) {
    this.max = max;
    this.#guarded = guarded;
    this.#length = new DraftLength(COSTS, max);
  }

  get waitsForHost(): boolean {
    return !this.#guarded || this.guard.drafts;
  }

  next(proposed: number): DraftWish | undefined {
    if (proposed === 0 || !this.waitsForHost) return undefined;
    return { tokens: Math.min(proposed, this.#length.tokens), layerPlan: undefined, way: 0 };
  }

  verified({ tokens }: DraftRound, accepted: number): void {
    this.#length.observe(tokens, accepted);
  }

  /** Tokens that nothing was proposed for belong to this way as well: they have waited like the others. */
  committed(nowMs: number, tokens: number): void {
    this.guard.observe(nowMs, tokens, this.guard.drafts);
  }

  pause(): void {
    this.guard.pause();
  }
}
