/**
 * A gated short convolution in place of attention: projection, its inputs into the layer's pool,
 * convolution over the last tokens, output. Four dispatches, whatever the number of rows; the state of a
 * sequence is what its last tokens left in the pool.
 */
import { shortConv } from "../kernels/short-conv.ts";
import { shortConvWrite } from "../kernels/short-conv-write.ts";
import { addToResidual } from "./block-output.ts";
import type { ConvolutionSpec, DecoderSpec } from "./decoder.ts";
import type { GraphBuilder, InputNorm } from "./graph.ts";
import { keptWhileSame } from "./step-sizes.ts";
import type { DecoderTensors } from "./tensors.ts";
import { layerWeight } from "./weights.ts";

interface Layer {
  readonly layer: number;
  /** Of KV blocks. */
  readonly group: number;
  readonly norm: InputNorm;
}

export function shortConvolution(
  graph: GraphBuilder,
  spec: DecoderSpec,
  { taps: L, bias }: ConvolutionSpec,
  tensors: DecoderTensors,
  { layer, group, norm }: Layer,
): void {
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const vector = (name: string) => weight(name).shards[0].slice;
  const projected = tensors.activation("conv_in");
  const hidden = tensors.activation("hidden");
  const out = tensors.activation("convolved");
  graph.matmul(
    weight("conv_in"),
    { bias, tail: "store" },
    { x: hidden, out: projected, ...(bias && { bias: vector("conv_in_bias") }) },
    { norm },
  );
  const { tap_slots } = tensors.group(group);
  const from = { projected, tap_slots, pool: tensors.kvPool(layer) };
  const dims = keptWhileSame(({ T }) => ({ T, D: spec.hiddenSize, L, B: tensors.blockTokens }));
  graph.add(shortConvWrite, from, dims);
  graph.add(
    shortConv({ bias }),
    { ...from, taps: vector("conv_taps"), ...(bias && { bias: vector("conv_bias") }), out },
    dims,
  );
  addToResidual(graph, spec, {
    projection: weight("conv_out"),
    ...(bias && { bias: weight("conv_out_bias") }),
    ...{ x: out, rows: "T", hidden },
    projected: tensors.activation("normed"),
  });
}
