// Which kernels latent attention takes, and what its cache costs: one latent for all heads.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { kvRowBytes } from "../../kernels/kv-layout.ts";
import { layerGroups } from "../../models/decoder.ts";
import { emitCalls } from "../../models/emit-calls.ts";
import { readDecoderSpec } from "../../models/registry.ts";
import type { StepSizes } from "../../models/step-sizes.ts";
import { planKvCache } from "../../runtime/kv-cache.ts";
import { randomShapes } from "../../runtime/model-folder/random-shapes.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { loadTiny } from "./sequence-runner.ts";

const golden = (name: string) =>
  fileURLToPath(new URL(`../fixtures/goldens/${name}`, import.meta.url));

/** Of the first layer's attention, for rows that decode or for a prompt. */
async function namesOf(model: string, T: number, ofPrompt: boolean) {
  const runner = await loadTiny(new ReferenceDevice(), golden(model));
  const nothing = { decode_positions: 0, decode_blocks: 0, prefill_rows: 0, prefill_row_tiles: 0 };
  const sums = { prefill_positions: 0, prefill_blocks: 0, row_tiles: 0, row_positions: 0 };
  const work = { W: ofPrompt ? 0 : T, U: ofPrompt ? 0 : T, Q: ofPrompt ? 1 : 0 };
  const step: StepSizes = { T, R: T, attention: [{ ...nothing, ...sums, row_blocks: 0, ...work }] };
  return emitCalls(runner.nodes, step, { from: 1, to: 2 }).map(({ kernel }) =>
    kernel.name.replace(/^(matmul)\.\w+(\[\w+).*?(\.\w+)$/, "$1$2]$3"),
  );
}

const attend = ["latent_decode[f16]", "attention_reduce"];

test("one decoded token: queries, latent, its write, into it, attention, out of it, projection", async () => {
  expect(await namesOf("deepseek-v2/bf16", 1, false)).toEqual([
    ...["matmul[bf16].store", "matmul[bf16].store", "latent_write[f16]"],
    ...["head_matmul[bf16].columns", ...attend, "head_matmul[bf16].rows"],
    "matmul[bf16].residual",
  ]);
});

test("queries with a latent of their own take one matrix more", async () => {
  const names = await namesOf("deepseek-v3/f32", 1, false);
  expect(names.filter((name) => name.startsWith("matmul"))).toHaveLength(4);
  expect(names).toHaveLength(9);
});

test("a prompt is absorbed too, by the same kernels round its attention", async () => {
  const names = await namesOf("deepseek-v2/bf16", 40, true);
  expect(names.filter((name) => name !== "rms_norm")).toEqual([
    ...["matmul[bf16].store", "matmul[bf16].store", "latent_write[f16]"],
    ...["head_matmul[bf16].columns", "latent_prefill[f16]", "head_matmul[bf16].rows"],
    "matmul[bf16].residual",
  ]);
});

test("the cache of DeepSeek-V2-Lite: 576 values a token and layer, for 16 heads", async () => {
  const spec = await readDecoderSpec(randomShapes["deepseek-v2-lite"]!);
  const [group, ...others] = layerGroups(spec);
  expect(others).toEqual([]);
  expect(group!.layers).toHaveLength(27);
  expect(group!.tokenBytes("f16")).toBe(2 * 576);
  // A ninth of keys of 192 and values of 128 dims.
  const perHead = kvRowBytes("f16", 192) + kvRowBytes("f16", 128);
  expect((16 * perHead) / group!.tokenBytes("f16")).toBeCloseTo(8.9, 1);
  const { limits } = new ReferenceDevice().info;
  const plan = planKvCache(spec, {
    ...{ storage: "f16", blockTokens: 32, budgetBytes: 1e9, limits },
    ...{ maxTokensPerPlan: 512, maxRows: 16 },
  });
  expect(plan.groups).toMatchObject([{ kind: "latent", blockBytes: 32 * 2 * 576 }]);
  expect(plan.tokenBytes).toBe(27 * 2 * 576);
});
