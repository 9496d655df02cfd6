// Waiting for the GPU in Node: Dawn is asked about once a millisecond, not at every turn of the event
// loop, and nobody else's setImmediate is touched. Dawn is played by a queue that asks as Dawn does.

import { describe, expect, test } from "vitest";
import { paceDawn } from "../../../runtime/gpu/dawn-polling.ts";

class PollingQueue {
  numPolls = 0;

  onSubmittedWorkDone(afterMs: number): Promise<void> {
    const doneMs = performance.now() + afterMs;
    return new Promise((resolve) => {
      const poll = () => {
        this.numPolls += 1;
        if (performance.now() >= doneMs) resolve();
        else setImmediate(poll);
      };
      setImmediate(poll);
    });
  }
}
const immediate = setImmediate;
paceDawn({ GPUQueue: PollingQueue });

describe("waiting for the GPU in Node", () => {
  test("asks about once a millisecond", async () => {
    const queue = new PollingQueue();
    const startMs = performance.now();
    await queue.onSubmittedWorkDone(200);
    const waitedMs = performance.now() - startMs;
    // Besides the quarter of a millisecond at the start, when it asks at every turn.
    expect(queue.numPolls).toBeLessThan(waitedMs + 500);
    // Unpaced, the same wait asks more than ten times as often.
    expect(await unpaced(200)).toBeGreaterThan(10 * waitedMs);
  });

  test("takes an answer that comes at once without a pause", async () => {
    const startMs = performance.now();
    for (let i = 0; i < 50; i++) await new PollingQueue().onSubmittedWorkDone(0);
    expect(performance.now() - startMs).toBeLessThan(50);
  });

  test("leaves setImmediate as it was, also when a call throws", async () => {
    const waiting = new PollingQueue().onSubmittedWorkDone(20);
    expect(setImmediate).toBe(immediate);
    let numTurns = 0;
    await new Promise<void>((resolve) => {
      const turn = () => {
        numTurns += 1;
        if (numTurns < 100) setImmediate(turn);
        else resolve();
      };
      turn();
    });
    await waiting;
    expect(setImmediate).toBe(immediate);
    const throwing = { prototype: { requestAdapter: () => fail() } };
    paceDawn({ GPU: throwing });
    expect(() => throwing.prototype.requestAdapter()).toThrow("no adapter");
    expect(setImmediate).toBe(immediate);
  });
});

function fail(): never {
  throw new Error("no adapter");
}

/** Polls of a queue that nobody paces. */
async function unpaced(afterMs: number): Promise<number> {
  let numPolls = 0;
  const doneMs = performance.now() + afterMs;
  while (performance.now() < doneMs) {
    await new Promise((resolve) => setImmediate(resolve));
    numPolls += 1;
  }
  return numPolls;
}
