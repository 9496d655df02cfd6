// Which kernels a layer that convolves takes, by the number of rows, and what they bind.

import { expect, test } from "vitest";
import type { BufferSlice } from "../../kernels/kernel.ts";
import { matmulShapes } from "../../kernels/matmul.ts";
import type { DecoderSpec } from "../../models/decoder.ts";
import { emitCalls } from "../../models/emit-calls.ts";
import { GraphBuilder } from "../../models/graph.ts";
import { shortConvolution } from "../../models/short-conv.ts";
import type { DecoderTensors } from "../../models/tensors.ts";

const slice: BufferSlice = { buffer: { id: 1, sizeBytes: 16 }, offsetBytes: 0, sizeBytes: 16 };
const { gemv, small_m, tile } = matmulShapes;

/** Names of the calls of a step of T rows. */
function callsOf(T: number, bias: boolean): string[] {
  const spec = { hiddenSize: 64, normEps: 1e-5 } as DecoderSpec;
  const tensors = {
    ...{ blockTokens: 32, activation: () => slice, kvPool: () => slice },
    group: () => ({ tap_slots: slice }),
    weight: (name: string) => {
      const rows = name.endsWith("conv_in") ? 192 : 64;
      return { rows, columns: 64, shards: [{ slice, format: "f16", firstRow: 0, rows }] };
    },
  } as unknown as DecoderTensors;
  const choice = { shapes: [gemv, small_m, tile], fusesNorm: true, fusesRope: true };
  const graph = new GraphBuilder(new Map([["f16", choice]]));
  graph.nextStage("layer 0 convolution");
  const norm = { weight: slice, eps: 1e-5, out: slice };
  shortConvolution(graph, spec, { taps: 3, bias }, tensors, { layer: 0, group: 1, norm });
  const calls = emitCalls(graph.nodes, { T, R: 0, attention: [] }, { from: 0, to: 1 });
  for (const { kernel, buffers, dims } of calls) {
    for (const name of Object.keys(kernel.bindings)) expect(buffers, name).toHaveProperty(name);
    for (const name of Object.keys(kernel.params)) expect(dims[name], name).toBeTypeOf("number");
  }
  return calls.map(({ kernel }) => kernel.name);
}

test("four dispatches for few rows, and a norm more for many", () => {
  expect(callsOf(1, false)).toEqual([
    ...["matmul.gemv[f16,norm].store", "short_conv_write", "short_conv"],
    "matmul.gemv[f16].residual",
  ]);
  expect(callsOf(17, false)).toEqual([
    ...["rms_norm", "matmul.tile[f16].store", "short_conv_write", "short_conv"],
    "matmul.tile[f16].residual",
  ]);
});

test("one bias is of all three: both projections and the convolution", () => {
  expect(callsOf(2, true)).toEqual([
    ...["matmul.small_m[f16,norm].bias_store", "short_conv_write", "short_conv.bias"],
    "matmul.small_m[f16].bias_residual",
  ]);
});
