// What a newcomer is told of its wait, beside what it then waits: a GPU that takes as long as predicted.

import { describe, expect, test } from "vitest";
import {
  type PlanWork,
  type Priority,
  queueDelayMs,
  Scheduler,
  type SequenceRequest,
} from "../../scheduler/index.ts";

const costs = { predictMs: ({ numTokens }: PlanWork) => 10 + 0.1 * numTokens };

class Clock {
  nowMs = 0;
  readonly scheduler;
  readonly #startedMs = new Map<number, number>();
  #numRequests = 0;

  constructor(numBlocks = 400) {
    this.scheduler = new Scheduler({
      ...{ numLayers: 2, kvGroups: [{ kind: "full", numBlocks }], blockTokens: 16 },
      ...{ maxRows: 4, costs, maxRunAhead: 1 },
    });
  }

  add(request: Partial<SequenceRequest> = {}): number {
    const id = this.#numRequests++;
    this.scheduler.add({ id, numPromptTokens: 20, maxTokens: 30, ...request }, this.nowMs);
    return id;
  }

  predict(priority: Priority = "interactive"): number {
    return queueDelayMs(this.scheduler.queueState(this.nowMs))[priority];
  }

  /** Runs plans, all of them or so many, one after the other. */
  run(count = Number.POSITIVE_INFINITY): void {
    for (; count > 0; count--) {
      const plan = this.scheduler.schedule(this.nowMs);
      if (plan === "idle") return;
      for (const { sequenceId } of plan.rows) {
        if (!this.#startedMs.has(sequenceId)) this.#startedMs.set(sequenceId, this.nowMs);
      }
      this.nowMs += plan.predictedMs;
      const sampled = plan.rows
        .filter(({ sample }) => sample)
        .map(({ sequenceId }) => ({ sequenceId, tokenId: 1, finished: false }));
      this.scheduler.commit({ planId: plan.id, sampled, gpuMs: plan.predictedMs }, this.nowMs);
    }
  }

  /** Predicted and real wait of one more request, which then is run to the end with all others. */
  wait(): { readonly predicted: number; readonly real: number } {
    const predicted = this.predict();
    const cameMs = this.nowMs;
    const id = this.add();
    this.run();
    return { predicted, real: this.#startedMs.get(id)! - cameMs };
  }
}

describe("the predicted wait", () => {
  test("is none where nobody is", () => {
    expect(new Clock().predict()).toBe(0);
  });

  test("is none but for prompts where there is room", () => {
    const clock = new Clock();
    clock.add();
    clock.add();
    clock.run(5);
    const { predicted, real } = clock.wait();
    expect(predicted).toBe(0);
    expect(real).toBe(0);
  });

  test.each([4, 6, 9, 14, 30])("is near the real one behind %d requests", (ahead) => {
    const clock = new Clock();
    for (let i = 0; i < ahead; i++) clock.add();
    clock.run(8);
    const { predicted, real } = clock.wait();
    expect(predicted).toBeGreaterThan(0.7 * real);
    expect(predicted).toBeLessThan(1.4 * real);
  });

  test("is near the real one where memory, not rows, is short", () => {
    // Six requests of 50 tokens have room for two at a time.
    const clock = new Clock(8);
    for (let i = 0; i < 6; i++) clock.add();
    clock.run(8);
    const { predicted, real } = clock.wait();
    expect(predicted).toBeGreaterThan(0.6 * real);
    expect(predicted).toBeLessThan(1.6 * real);
  });

  test("learns how long answers are", () => {
    const clock = new Clock();
    for (let i = 0; i < 40; i++) clock.add({ maxTokens: 10 });
    clock.run();
    for (let i = 0; i < 8; i++) clock.add({ maxTokens: 1000 });
    const short = clock.predict();
    const fresh = new Clock();
    for (let i = 0; i < 8; i++) fresh.add({ maxTokens: 1000 });
    expect(short).toBeLessThan(0.1 * fresh.predict());
  });

  test("of an urgent request does not count less urgent ones that wait", () => {
    const clock = new Clock();
    for (let i = 0; i < 12; i++) clock.add({ priority: "background" });
    clock.run(3);
    expect(clock.predict("background")).toBeGreaterThan(2 * clock.predict("interactive"));
  });
});
