/**
 * Drafts by the model itself with some layers left out. Which plan drafts, how far, and whether it pays
 * at all, is learnt from what was accepted and from the clock.
 */
import { seededRandom } from "../random.ts";
import type { LayerPlan } from "../work-plan.ts";
import { DraftSets } from "./draft-sets.ts";
import { DraftGuard } from "./guard.ts";
import type { Drafter, DraftRound, DraftWish } from "./round.ts";

export interface DraftWay {
  readonly layerPlan: LayerPlan;
  /** Time of a row by it, over that of a plain one. */
  readonly cost: number;
}

/** Verification reads what a plain step reads, and some rows more go through it. */
const VERIFY_COST = 1.05;

export interface SelfDrafterOptions {
  readonly ways: readonly DraftWay[];
  readonly max: number;
  /** Default true: plain where drafting does not pay. */
  readonly guarded?: boolean;
}

export class SelfDrafter implements Drafter {
  readonly max: number;
  readonly waitsForHost = false;
  readonly guard = new DraftGuard();
  readonly #ways: readonly DraftWay[];
  readonly #sets: DraftSets;
  readonly #guarded: boolean;

  constructor({ ways, max, guarded = true }: SelfDrafterOptions) {
    this.#ways = ways;
    this.max = max;
    this.#guarded = guarded;
    const costs = ways.map(({ cost: draft }) => ({ draft, verify: VERIFY_COST }));
    this.#sets = new DraftSets(costs, max, seededRandom(0));
  }

  next(): DraftWish | undefined {
    if (this.#guarded && !this.guard.drafts) return undefined;
    const { set: way, tokens } = this.#sets.choose();
    return { tokens, layerPlan: this.#ways[way].layerPlan, way };
  }

  verified({ way, tokens }: DraftRound, accepted: number): void {
    this.#sets.observe(way, tokens, accepted);
  }

  committed(nowMs: number, tokens: number, drafted: boolean): void {
    this.guard.observe(nowMs, tokens, drafted);
  }

  pause(): void {
    this.guard.pause();
  }
}
