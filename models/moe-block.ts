/**
 * A mixture of experts as kernel calls. Few tokens: router, choice, gates and values, outputs, sum:
 * five dispatches, each slot by its own expert. Many: slots are first grouped by expert, so that an
 * expert's weights serve all its slots. The ids stay on the GPU, and either way gives the same bits.
 */
import { blockCapacity, expertBlocks } from "../kernels/expert-blocks.ts";
import { expertCombine } from "../kernels/expert-combine.ts";
import type { BufferSlice, Dims } from "../kernels/kernel.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import { route, routeDims, routerKind } from "../kernels/route.ts";
import type { DecoderSpec } from "./decoder.ts";
import { expertMatmul, expertWays, wayFor } from "./expert-matmul.ts";
import {
  type GraphBuilder,
  type InputNorm,
  keptWhileSame,
  type RowCount,
  type StepSizes,
} from "./graph.ts";
import { type MoeSpec, numMatrices, routerColumns } from "./moe.ts";
import type { DecoderTensors } from "./tensors.ts";
import { layerWeight } from "./weights.ts";

/** What the block reads, normalised, and adds to. */
interface BlockRows {
  readonly rows: RowCount;
  readonly hidden: BufferSlice;
  readonly norm: InputNorm;
}

export function moeBlock(
  graph: GraphBuilder,
  { hiddenSize: D, residualScale: scale = 1 }: DecoderSpec,
  moe: MoeSpec,
  tensors: DecoderTensors,
  layer: number,
  { rows, hidden, norm }: BlockRows,
): void {
  const { router, activation, shared } = moe;
  const { experts: E, chosen } = router;
  const numExperts = numMatrices(router);
  const columns = routerColumns(moe);
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const [logits, ids, weights, places, blocks, gated, y] = expertActivations.map((name) =>
    tensors.activation(name),
  );
  const forRows = (dims: (T: number) => Dims | undefined) =>
    keptWhileSame((step: StepSizes) => (step[rows] === 0 ? undefined : dims(step[rows])));

  const bias = moe.names.biases !== undefined;
  const biasOf = (name: string) => (bias ? { bias: weight(name).shards[0].slice } : {});
  const scored = { x: hidden, out: logits, ...biasOf("router_bias") };
  const scores = { bias, tail: "store" } as const;
  const storesNormed = graph.matmul(weight("router"), scores, scored, { rows, norm });
  const choiceBias = router.choiceBias && { choice_bias: weight("choice_bias").shards[0].slice };
  const choice = { logits, ids, weights, ...choiceBias };
  graph.add(
    route(routerKind(router)),
    choice,
    forRows((T) => routeDims(router, T, columns)),
  );

  const gateUp = weight("experts_gate_up");
  const down = weight("experts_down");
  const ways = expertWays(graph, [gateUp, down], { numExperts, chosen });
  // A router that normalises in its prologue leaves nothing for matrices that cannot.
  graph.add(
    rmsNorm,
    { x: hidden, weight: norm.weight, out: norm.out },
    keptWhileSame((step) => {
      const T = step[rows];
      if (T === 0 || wayFor(ways, T).fusesNorm || storesNormed(step)) return undefined;
      return { T, D, eps: norm.eps };
    }),
  );
  graph.add(
    expertBlocks,
    { ids, places, blocks },
    forRows((T) => {
      const { blockRows: block_rows } = wayFor(ways, T);
      if (block_rows === 1) return undefined;
      const num_blocks = blockCapacity(T * chosen, numExperts, block_rows);
      return { S: T * chosen, E: numExperts, block_rows, num_blocks };
    }),
  );
  const product = { rows, ways, numExperts, chosen, ids, places, blocks };
  expertMatmul(
    graph,
    gateUp,
    { bias, tail: activation },
    {
      ...{ ...product, slotsPerX: chosen, norm: { ...norm, x: hidden }, x: norm.out, out: gated },
      ...biasOf("experts_gate_up_bias"),
    },
  );
  const outputs = { ...product, slotsPerX: 1, x: gated, out: y, ...biasOf("experts_down_bias") };
  expertMatmul(graph, down, { bias, tail: "store" }, outputs);
  if (shared) sharedExpert(graph, moe, tensors, layer, { rows, hidden, norm });

  const sum = {
    ...{ y, weights },
    ...(shared && { shared_out: tensors.activation("shared_out") }),
    ...(shared?.gated && { gate_logits: logits }),
    out: hidden,
  };
  graph.add(
    expertCombine({
      shared: shared ? (shared.gated ? "gated" : "plain") : "none",
      identity: false,
    }),
    sum,
    forRows((T) => ({
      ...{ T, k: chosen, D, scale },
      ...(shared?.gated && { stride: columns, gate_column: E }),
    })),
  );
}

const expertActivations = [
  "router_logits",
  "expert_ids",
  "expert_weights",
  "expert_places",
  "expert_blocks",
  "expert_gated",
  "expert_out",
] as const;

/** An MLP for every token. */
function sharedExpert(
  graph: GraphBuilder,
  { activation }: MoeSpec,
  tensors: DecoderTensors,
  layer: number,
  { rows, hidden, norm }: BlockRows,
): void {
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const gated = tensors.activation("gated");
  const gateUp = { x: hidden, out: gated };
  graph.matmul(weight("gate_up"), { bias: false, tail: activation }, gateUp, { rows, norm });
  const down = { x: gated, out: tensors.activation("shared_out") };
  graph.matmul(weight("down"), { bias: false, tail: "store" }, down, { rows });
}
