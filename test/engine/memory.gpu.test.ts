// What an engine holds does not grow with what it has answered, nor a process with the engines it has
// closed: GPU buffers are counted at WebGPU, the heap after forced collections.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import { gpu } from "../harness/gpu.ts";
import { watchBuffers } from "../harness/gpu-buffers.ts";
import { heapAfterCollection } from "../harness/heap.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { ask, randomIds } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

const [first, last] = [scale("memory", 50, 100), scale("memory", 150, 1000)];
const numCycles = scale("memory", 3, 20);
const numWarm = scale("memory", 1, 10);
const BUDGET_BYTES = 5e6;
/** Of the heap: what a collector may leave. */
const SHARE = 0.02;

let buffers: ReturnType<typeof watchBuffers>;
beforeAll(async () => {
  await gpu();
  buffers = watchBuffers();
});
afterAll(() => buffers.stop());

/** A cache that is full early: what the prefix cache knows of its blocks grows until then. */
const open = (): Promise<Engine> =>
  createEngineWith(nodePlatform, {
    model: shallowFolder(demoFolder(), 1),
    ...{ maxRows: 8, maxTokensPerPlan: 64, memoryBudgetBytes: BUDGET_BYTES },
  });

/** Of every kind: long and short, drawn, with penalties, logprobs, aborted, and several at once. */
async function answer(engine: Engine, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 5) {
    const prompt = randomIds(4 + (i % 60), i);
    const settings = [
      {},
      { temperature: 1, seed: i },
      { repetitionPenalty: 1.2 },
      { topLogprobs: 3 },
      { n: 2, temperature: 1 },
    ];
    await Promise.all(settings.map((setting) => ask(engine, { prompt, maxTokens: 3, ...setting })));
    for await (const _ of engine.generate({ prompt, maxTokens: 50 })) break;
  }
}

const some = test.skipIf(project() === "swiftshader");

some(
  `after ${last} requests as much is held as after ${first} (host and queue are the same on SwiftShader)`,
  { timeout: scale("memory", 120_000, 3_600_000) },
  async () => {
    // What the process itself compiles and learns takes some hundred requests.
    const warm = await open();
    await answer(warm, 0, last);
    await warm.close();
    const engine = await open();
    await answer(engine, 0, first);
    const held = buffers.held();
    const heap = await heapAfterCollection();
    await answer(engine, first, last);
    const after = buffers.held();
    // Code that is compiled anew, now and then, looks like growth; a leak would not shrink again.
    let heapAfter = await heapAfterCollection();
    for (let more = last; more < last + 200 && heapAfter - heap >= SHARE * heap; more += 50) {
      await answer(engine, more, more + 50);
      heapAfter = await heapAfterCollection();
    }
    report("memory", { requests: last, ...after, heap, heapAfter });
    expect(after).toEqual(held);
    expect(after.count).toBeGreaterThan(10);
    expect(heapAfter - heap).toBeLessThan(SHARE * heap);
    await engine.close();
    expect(buffers.held().count).toBe(0);
  },
);

some(
  `${numCycles} engines one after another leave nothing (the same on SwiftShader)`,
  { timeout: scale("memory", 120_000, 3_600_000) },
  async () => {
    const heaps: number[] = [];
    // Those before have compiled, and compiled better, what all need.
    for (let cycle = -numWarm; cycle < numCycles; cycle++) {
      const engine = await open();
      await answer(engine, 0, 5);
      await engine.close();
      expect(buffers.held()).toEqual({ count: 0, bytes: 0 });
      const heap = await heapAfterCollection();
      if (cycle >= 0) heaps.push(heap);
    }
    report("memory", { cycles: numCycles, heaps });
    expect(heaps.at(-1)! - heaps[0]).toBeLessThan(SHARE * heaps[0]);
  },
);
