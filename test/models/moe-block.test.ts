// What a mixture of experts costs in calls, counted by stage, whatever is chosen.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { emitCalls } from "../../models/emit-calls.ts";
import type { StepSizes } from "../../models/step-sizes.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { demoFolder } from "../engine/node-model.ts";
import { loadTiny } from "./sequence-runner.ts";

const golden = (name: string) =>
  fileURLToPath(new URL(`../fixtures/goldens/${name}`, import.meta.url));
const NO_ATTENTION = {
  ...{ W: 0, U: 0, Q: 0, decode_positions: 0, decode_blocks: 0 },
  ...{ prefill_rows: 0, prefill_row_tiles: 0, prefill_positions: 0, prefill_blocks: 0 },
  ...{ row_tiles: 0, row_positions: 0, row_blocks: 0 },
};

async function namesOf(
  model: Parameters<typeof loadTiny>[1],
  T: number,
  layer = 0,
  options: Parameters<typeof loadTiny>[2] = {},
) {
  const runner = await loadTiny(new ReferenceDevice(), model, options);
  const step: StepSizes = { T, R: T, attention: [NO_ATTENTION, NO_ATTENTION] };
  const mlp = { from: 2 * layer + 2, to: 2 * layer + 3 };
  return emitCalls(runner.nodes, step, mlp).map(({ kernel }) => kernel.name);
}

test.each([1, 4, 16])("%i decoded tokens: five calls, slot by slot", async (T) => {
  expect(await namesOf(demoFolder("demo-moe"), T)).toEqual([
    expect.stringMatching(/^matmul\.\w+\[bf16,norm\]\.store$/),
    "route.softmax",
    "matmul.gemv[bf16,norm,slots].silu",
    "matmul.gemv[bf16,slots].store",
    "expert_combine",
  ]);
});

test.each([17, 100])("%i tokens of a prompt: seven calls, expert by expert", async (T) => {
  expect(await namesOf(demoFolder("demo-moe"), T)).toEqual([
    "rms_norm",
    expect.stringMatching(/^matmul\.\w+\[bf16\]\.store$/),
    "route.softmax",
    "expert_blocks",
    expect.stringMatching(/^matmul\.(small_m|tile)\[bf16,blocks\]\.silu$/),
    expect.stringMatching(/^matmul\.(small_m|tile)\[bf16,blocks\]\.store$/),
    "expert_combine",
  ]);
});

test("a shared expert costs two calls more, a dense layer none", async () => {
  expect(await namesOf(golden("qwen2-moe/f32"), 1)).toHaveLength(7);
  // Layers 0 and 2 of this model are dense.
  expect(await namesOf(golden("qwen3-moe-sparse-step/f32"), 1, 0)).toHaveLength(2);
  expect(await namesOf(golden("qwen3-moe-sparse-step/f32"), 1, 1)).toHaveLength(5);
});

test("where other matrices round rows to int8, experts take them in f32", async () => {
  const options = { quant: "q8", activations: "i8" } as const;
  const names = await namesOf(demoFolder("demo-moe"), 4, 0, options);
  expect(names.filter((name) => name.includes("slots"))).toEqual([
    "matmul.gemv[q8_0,norm,slots].silu",
    "matmul.gemv[q8_0,slots].store",
  ]);
});
