// Which kernels lead from a layer's input to its queries, keys and values, by the number of rows.

import { expect, test } from "vitest";
import type { BufferSlice } from "../../kernels/kernel.ts";
import type { KvStorage } from "../../kernels/kv-layout.ts";
import { matmulShapes } from "../../kernels/matmul.ts";
import type { WeightFormatName } from "../../kernels/weight-format.ts";
import type { DecoderSpec } from "../../models/decoder.ts";
import { emitCalls } from "../../models/emit-calls.ts";
import { GraphBuilder } from "../../models/graph.ts";
import type { MatmulChoice } from "../../models/matmul-choice.ts";
import { queryKeyValue } from "../../models/qkv.ts";
import type { DecoderTensors } from "../../models/tensors.ts";
import type { WeightShard } from "../../models/weights.ts";

const slice: BufferSlice = { buffer: { id: 1, sizeBytes: 16 }, offsetBytes: 0, sizeBytes: 16 };
const { gemv, small_m, tile } = matmulShapes;
const agreed: MatmulChoice = { shapes: [gemv, small_m, tile], fusesNorm: true, fusesRope: true };

interface Given {
  readonly H?: number;
  readonly qkNorm?: DecoderSpec["qkNorm"];
  readonly kv?: KvStorage;
  /** Format and rows of each run, in heads; 4 of queries, 2 of keys, 2 of values in all. */
  readonly runs?: readonly (readonly [WeightFormatName, number])[];
  readonly choices?: Partial<Record<WeightFormatName, MatmulChoice>>;
}

/** Names of the calls of a step of T rows. */
function callsOf(T: number, given: Given = {}): string[] {
  const { H = 64, qkNorm = false, kv = "f16", runs = [["f16", 8]], choices = {} } = given;
  const shards: WeightShard[] = [];
  for (const [format, heads] of runs) {
    const firstRow = shards.reduce((sum, { rows }) => sum + rows, 0);
    shards.push({ slice, format, firstRow, rows: heads * H });
  }
  const spec = {
    ...{ numHeads: 4, numKvHeads: 2, headDim: H, qkNorm, qkvBias: false, normEps: 1e-5 },
    layers: [
      { rope: { headDim: H, base: 1e4, scaling: { type: H % 8 === 0 ? "default" : "none" } } },
    ],
  } as unknown as DecoderSpec;
  const tensors = {
    ...{ kvStorage: kv, blockTokens: 32, ropeTable: () => slice },
    activation: () => slice,
    kvPool: () => slice,
    group: () => ({ token_places: slice }),
    weight: () => ({ rows: 8 * H, columns: 256, shards }),
  } as unknown as DecoderTensors;
  const graph = new GraphBuilder(
    new Map(runs.map(([format]) => [format, choices[format] ?? agreed])),
  );
  graph.nextStage("layer 0 attention");
  queryKeyValue(graph, spec, tensors, {
    ...{ layer: 0, group: 0 },
    norm: { weight: slice, eps: 1e-5, out: slice },
  });
  const step = { T, R: 0, attention: [] };
  const calls = [...emitCalls(graph.nodes, step, { from: 0, to: 1 })];
  const prepared = graph.nodes.flatMap(({ pipelines }) => pipelines.map(({ kernel }) => kernel));
  for (const { kernel, buffers, dims } of calls) {
    expect(prepared).toContain(kernel);
    for (const name of Object.keys(kernel.bindings)) expect(buffers, name).toHaveProperty(name);
    for (const name of Object.keys(kernel.params)) expect(dims[name], name).toBeTypeOf("number");
  }
  return calls.map(({ kernel }) => kernel.name);
}

const APART = ["matmul.small_m[f16,norm].store", "rope_kv_write[f16]"];

test("few rows take one kernel, many take the norm, the matrix and what follows it", () => {
  expect(callsOf(1)).toEqual(["matmul.gemv[f16,norm].rope_kv_f16"]);
  expect(callsOf(1, { kv: "f32" })).toEqual(["matmul.gemv[f16,norm].rope_kv_f32"]);
  expect(callsOf(16)).toEqual(["matmul.small_m[f16,norm].rope_kv_f16"]);
  expect(callsOf(17)).toEqual(["rms_norm", "matmul.tile[f16].store", "rope_kv_write[f16]"]);
});

test("what needs a whole head keeps a kernel of its own", () => {
  expect(callsOf(2, { qkNorm: "head" })).toEqual([APART[0], "rope_kv_write[f16].qk_norm"]);
  expect(callsOf(2, { qkNorm: "row" })).toEqual([APART[0], "qk_norm", APART[1]]);
  expect(callsOf(2, { kv: "i8" })).toEqual([APART[0], "rope_kv_write[i8]"]);
});

test("runs of rows in several formats are fused where they are whole heads", () => {
  expect(
    callsOf(1, {
      runs: [
        ["f16", 6],
        ["q8_0", 2],
      ],
    }),
  ).toEqual(["matmul.gemv[f16,norm].rope_kv_f16", "matmul.gemv[q8_0,norm].rope_kv_f16"]);
  expect(
    callsOf(2, {
      runs: [
        ["f16", 6.5],
        ["f16", 1.5],
      ],
    }),
  ).toEqual([APART[0], ...APART]);
  // Heads that are no octets.
  expect(callsOf(2, { H: 120, runs: [["f16", 8]] })).toHaveLength(1);
  expect(callsOf(2, { H: 100, runs: [["f16", 8]] })).toEqual(APART);
});

test("all runs are fused, or none, whatever each format's kernels are", () => {
  const runs = [
    ["f16", 6],
    ["q8_0", 2],
  ] as const;
  const one: MatmulChoice = { shapes: [gemv, tile], fusesNorm: true, fusesRope: true };
  expect(callsOf(1, { runs, choices: { q8_0: one } })).toEqual([
    "matmul.gemv[f16,norm].rope_kv_f16",
    "matmul.gemv[q8_0,norm].rope_kv_f16",
  ]);
  expect(callsOf(2, { runs, choices: { q8_0: one } })).toEqual([
    ...["rms_norm", "matmul.small_m[f16,norm].store", "matmul.tile[q8_0].store"],
    "rope_kv_write[f16]",
  ]);
  // A device that failed the comparison keeps the plain kernels.
  const plain: MatmulChoice = { shapes: [small_m], fusesNorm: false, fusesRope: false };
  expect(callsOf(1, { choices: { f16: plain } })).toEqual([
    ...["rms_norm", "matmul.small_m[f16].store", "rope_kv_write[f16]"],
  ]);
  const always: MatmulChoice = { shapes: [small_m], fusesNorm: true, fusesRope: true };
  expect(callsOf(99, { choices: { f16: always } })).toEqual([
    "matmul.small_m[f16,norm].rope_kv_f16",
  ]);
});
