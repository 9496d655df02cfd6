// Whether drafting pays, as it is learnt through the scheduler: plans go out ahead, drafts have plans of
// their own, and outcomes trail.

import { describe, expect, test } from "vitest";
import { Scheduler, SelfDrafter, type WorkPlan } from "../../../scheduler/index.ts";
import { planOf } from "../layer-plans.ts";

const PLAIN_MS = 10;
const DRAFT_COST = 0.3;
const NUM_LAYERS = 2;

interface Script {
  /** Time of a round's tokens by plain steps, over that of the round. */
  readonly speedup: (numTokens: number) => number;
  readonly maxRunAhead: number;
  readonly numSequences?: number;
}

/** Answers that take all drafts, on a GPU that runs one plan after another. */
class Speculating {
  /** Of each token that was committed, in order. */
  readonly drafted: boolean[] = [];
  readonly #script: Script;
  readonly #scheduler;
  readonly #unread: { readonly plan: WorkPlan; readonly endMs: number }[] = [];
  #gpuMs = 0;
  #nowMs = 0;

  constructor(script: Script) {
    const { maxRunAhead, numSequences = 1 } = script;
    this.#script = script;
    const ways = [{ layerPlan: planOf(NUM_LAYERS, 0b1100), cost: DRAFT_COST }];
    const drafter = new SelfDrafter({ ways, max: 4 });
    this.#scheduler = new Scheduler({
      numLayers: NUM_LAYERS,
      kvGroups: [{ kind: "full", numBlocks: 1000 }],
      maxRows: numSequences,
      maxDraftTokens: 4 * numSequences,
      maxRunAhead,
    });
    for (let id = 0; id < numSequences; id++)
      this.#scheduler.add({ id, numPromptTokens: 8, maxTokens: 10_000, drafter }, 0);
  }

  run(numTokens: number): this {
    const end = this.drafted.length + numTokens;
    while (this.drafted.length < end) {
      const plan = this.#scheduler.schedule(this.#nowMs);
      if (plan === "idle") this.#commit();
      else {
        this.#gpuMs = Math.max(this.#gpuMs, this.#nowMs) + this.#msOf(plan);
        this.#unread.push({ plan, endMs: this.#gpuMs });
      }
    }
    return this;
  }

  /** Tokens from that one on, up to the last that was drafted. */
  numDraftedFrom(first: number): number {
    return this.drafted.slice(first).lastIndexOf(true) + 1;
  }

  #msOf({ rows }: WorkPlan): number {
    const speedup = this.#script.speedup(this.drafted.length);
    const times = rows.map(({ kind, tokens }) => {
      if (kind === "draft") return DRAFT_COST * PLAIN_MS;
      const numTokens = tokens.to - tokens.from;
      if (kind === "compute") return PLAIN_MS;
      return (numTokens / speedup - (numTokens - 1) * DRAFT_COST) * PLAIN_MS;
    });
    return Math.max(...times);
  }

  #commit(): void {
    const { plan, endMs } = this.#unread.shift()!;
    this.#nowMs = Math.max(this.#nowMs, endMs);
    const sampled = plan.rows
      .filter(({ sample }) => sample)
      .map(({ sequenceId, kind, tokens }) => {
        if (kind === "draft") return { sequenceId, finished: false };
        const tokenIds = Array.from({ length: tokens.to - tokens.from }, () => 1);
        for (const _ of kind === "verify" ? tokenIds : [1]) this.drafted.push(kind === "verify");
        return kind === "verify"
          ? { sequenceId, finished: false, tokenIds }
          : { sequenceId, finished: false, tokenId: 1 };
      });
    this.#scheduler.commit({ planId: plan.id, gpuMs: 1, sampled }, this.#nowMs);
  }
}

describe.each([1, 2, 8])("with %d plans ahead", (maxRunAhead) => {
  test("drafting that pays goes on", () => {
    const { drafted } = new Speculating({ speedup: () => 1.5, maxRunAhead }).run(1000);
    expect(drafted.filter(Boolean).length).toBeGreaterThan(900);
  });

  test("falling under 1.05 it stops within 32 tokens, and is tried again later", () => {
    const turn = 300;
    const speedup = (numTokens: number) => (numTokens < turn ? 1.5 : 1.02);
    const speculating = new Speculating({ speedup, maxRunAhead }).run(turn + 90);
    expect(speculating.drafted.slice(0, turn).filter(Boolean).length).toBeGreaterThan(0.8 * turn);
    expect(speculating.numDraftedFrom(turn)).toBeGreaterThan(0);
    expect(speculating.numDraftedFrom(turn)).toBeLessThanOrEqual(32);
    const { drafted } = speculating.run(2000);
    const later = drafted.slice(turn + 90).filter(Boolean).length;
    expect(later).toBeGreaterThan(0);
    // Each probe that fails doubles the wait for the next.
    expect(later).toBeLessThan(200);
  });

  test("it comes back when it pays again", () => {
    const speedup = (numTokens: number) => (numTokens < 300 || numTokens > 500 ? 1.5 : 0.9);
    const { drafted } = new Speculating({ speedup, maxRunAhead }).run(2000);
    expect(drafted.slice(1000).filter(Boolean).length).toBeGreaterThan(900);
  });
});

test("sequences that share a drafter are judged together", () => {
  const turn = 400;
  const speedup = (numTokens: number) => (numTokens < turn ? 1.5 : 0.8);
  const script = { speedup, maxRunAhead: 4, numSequences: 3 };
  const speculating = new Speculating(script).run(turn + 80);
  expect(speculating.drafted.slice(0, turn).filter(Boolean).length).toBeGreaterThan(0.8 * turn);
  // Each of them commits a round or two.
  expect(speculating.numDraftedFrom(turn)).toBeLessThanOrEqual(3 * 10);
});
