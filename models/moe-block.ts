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
import { type ExpertWay, expertMatmul, expertWays, wayFor } from "./expert-matmul.ts";
import type { GraphBuilder, InputNorm } from "./graph.ts";
import { type MoeSpec, numMatrices, routerColumns } from "./moe.ts";
import { keptWhileSame, type RowCount, type StepSizes } from "./step-sizes.ts";
import type { ActivationName, DecoderTensors } from "./tensors.ts";
import { layerWeight, type Weight } from "./weights.ts";

/** Matrices of a layer's experts, one below the other, or of the slots that experts share. */
interface Stacks {
  readonly numMatrices: number;
  readonly gateUp: Weight;
  readonly down: Weight;
  readonly biases?: { readonly gateUp: BufferSlice; readonly down: BufferSlice };
}

interface Block {
  readonly graph: GraphBuilder;
  readonly moe: MoeSpec;
  readonly rows: RowCount;
  /** What the block reads, normalised, and adds to. */
  readonly hidden: BufferSlice;
  readonly norm: InputNorm;
  /** Of the layer whose router it is. */
  readonly adapters?: {
    readonly count: number;
    readonly buffers: Readonly<Record<"row_adapters" | "expert_of", BufferSlice>>;
  };
  weight(name: string): Weight;
  activation(name: ActivationName): BufferSlice;
}

export function moeBlock(
  graph: GraphBuilder,
  spec: DecoderSpec,
  moe: MoeSpec,
  tensors: DecoderTensors,
  layer: number,
  at: Pick<Block, "rows" | "hidden" | "norm">,
): void {
  const { adapters } = tensors;
  const block: Block = {
    ...{ graph, moe, ...at },
    adapters: adapters && {
      count: adapters.count,
      buffers: { row_adapters: adapters.rows(at.rows), expert_of: adapters.expertOf(layer) },
    },
    weight: (name) => tensors.weight(layerWeight(layer, name)),
    activation: (name) => tensors.activation(name),
  };
  const { router } = moe;
  const pool = tensors.expertPool(layer);
  const stacks = pool ? { ...pool, numMatrices: pool.slots } : ownStacks(block);
  const numExperts = pool ? numMatrices(router) : stacks.numMatrices;
  const chosen = router.chosen;
  const ways = expertWays(graph, [stacks.gateUp, stacks.down], { numExperts, chosen });
  const hinted = pool && hintable(spec, tensors, layer);
  if (hinted !== undefined) guess(block, spec, tensors, hinted);
  const storesNormed = choose(block);
  normalise(block, spec, (step) => !wayFor(ways, step[at.rows]).fusesNorm && !storesNormed(step));
  if (pool) {
    const blockRows = (step: StepSizes) => wayFor(ways, step[at.rows]).blockRows;
    graph.fetch({ layer, rows: at.rows, hinted, blockRows }, () => multiply(block, stacks, ways));
  } else {
    group(block, numExperts, ways);
    multiply(block, stacks, ways);
  }
  if (moe.shared) sharedExpert(block);
  combine(block, spec);
}

/** Dims of a step that has rows here. */
const forRows = ({ rows }: Block, dims: (T: number) => Dims | undefined) =>
  keptWhileSame((step: StepSizes) => (step[rows] === 0 ? undefined : dims(step[rows])));

/** Those of adapters follow those of the router. */
function ownStacks({ moe, weight }: Block): Stacks {
  const bias = (name: string) => weight(name).shards[0].slice;
  const gateUp = weight("experts_gate_up");
  return {
    numMatrices: gateUp.rows / (2 * moe.ffnSize),
    gateUp,
    down: weight("experts_down"),
    ...(moe.names.biases && {
      biases: { gateUp: bias("experts_gate_up_bias"), down: bias("experts_down_bias") },
    }),
  };
}

const biasOf = ({ moe, weight }: Block, name: string) =>
  moe.names.biases ? { bias: weight(name).shards[0].slice } : undefined;

/** The next layer, if its experts come and go; not the last, which sees the sampled rows alone. */
function hintable(spec: DecoderSpec, tensors: DecoderTensors, layer: number): number | undefined {
  const next = layer + 1;
  const isLast = next >= spec.layers.length - 1;
  return isLast || tensors.expertPool(next) === undefined ? undefined : next;
}

/**
 * Who the next layer would choose, were its input the one at hand: mostly right, since a layer adds little.
 * Leaves the ids in `expert_places`; all else that it writes is written again before it is read.
 * @see Eliseev and Mazur, Fast inference of MoE models with offloading, arXiv:2312.17238, section 3.2.
 */
function guess(block: Block, spec: DecoderSpec, tensors: DecoderTensors, next: number): void {
  const weight = (name: string) => tensors.weight(layerWeight(next, name));
  const norm = { ...block.norm, weight: weight("mlp_norm").shards[0].slice };
  const ids = block.activation("expert_places");
  choose({ ...block, moe: spec.layers[next].moe!, norm, weight }, ids);
}

/** @returns Whether the router had its rows normalised apart. */
function choose(block: Block, ids = block.activation("expert_ids")): (step: StepSizes) => boolean {
  const { graph, moe, rows, hidden, norm, adapters, weight, activation } = block;
  const { router } = moe;
  const logits = activation("router_logits");
  const bias = biasOf(block, "router_bias");
  const epilogue = { bias: bias !== undefined, tail: "store" } as const;
  const scored = { x: hidden, out: logits, ...bias };
  const storesNormed = graph.matmul(weight("router"), epilogue, scored, { rows, norm });
  const buffers = {
    ...{ logits, ids, weights: activation("expert_weights") },
    ...(router.choiceBias && { choice_bias: weight("choice_bias").shards[0].slice }),
    ...adapters?.buffers,
  };
  const sizes = adapters && { A: adapters.count };
  const dims = forRows(block, (T) => ({ ...routeDims(router, T, routerColumns(moe)), ...sizes }));
  graph.add(route(routerKind(router, { adapted: adapters !== undefined })), buffers, dims);
  return storesNormed;
}

/** A router that normalises in its prologue leaves nothing for matrices that cannot. */
function normalise(
  { graph, rows, hidden, norm }: Block,
  { hiddenSize: D }: DecoderSpec,
  isNeeded: (step: StepSizes) => boolean,
): void {
  const dims = keptWhileSame((step) => {
    const T = step[rows];
    return T > 0 && isNeeded(step) ? { T, D, eps: norm.eps } : undefined;
  });
  graph.add(rmsNorm, { x: hidden, weight: norm.weight, out: norm.out }, dims);
}

function group(block: Block, E: number, ways: readonly ExpertWay[]): void {
  const { graph, moe, activation } = block;
  const buffers = {
    ids: activation("expert_ids"),
    places: activation("expert_places"),
    blocks: activation("expert_blocks"),
  };
  const dims = forRows(block, (T) => {
    const { blockRows: block_rows } = wayFor(ways, T);
    const S = T * moe.router.chosen;
    if (block_rows === 1) return undefined;
    return { S, E, block_rows, num_blocks: blockCapacity(S, E, block_rows) };
  });
  graph.add(expertBlocks, buffers, dims);
}

function multiply(
  block: Block,
  { numMatrices: numExperts, gateUp, down, biases }: Stacks,
  ways: readonly ExpertWay[],
): void {
  const { graph, moe, rows, hidden, norm, activation } = block;
  const { chosen } = moe.router;
  const product = {
    ...{ rows, ways, chosen, numExperts },
    ids: activation("expert_ids"),
    places: activation("expert_places"),
    blocks: activation("expert_blocks"),
  };
  const gated = activation("expert_gated");
  const bias = biases !== undefined;
  expertMatmul(
    graph,
    gateUp,
    { bias, tail: moe.activation },
    {
      ...{ ...product, slotsPerX: chosen, ...(biases && { bias: biases.gateUp }) },
      ...{ x: norm.out, norm: { ...norm, x: hidden }, out: gated },
    },
  );
  expertMatmul(
    graph,
    down,
    { bias, tail: "store" },
    {
      ...{ ...product, slotsPerX: 1, ...(biases && { bias: biases.down }) },
      ...{ x: gated, out: activation("expert_out") },
    },
  );
}

/** An MLP for every token. */
function sharedExpert({ graph, moe, rows, hidden, norm, weight, activation }: Block): void {
  const gated = activation("gated");
  const gateUp = { x: hidden, out: gated };
  graph.matmul(weight("gate_up"), { bias: false, tail: moe.activation }, gateUp, { rows, norm });
  const down = { x: gated, out: activation("shared_out") };
  graph.matmul(weight("down"), { bias: false, tail: "store" }, down, { rows });
}

function combine(block: Block, { hiddenSize: D, residualScale: scale = 1 }: DecoderSpec): void {
  const { graph, moe, hidden, activation } = block;
  const { router, shared } = moe;
  const buffers = {
    ...{ y: activation("expert_out"), weights: activation("expert_weights") },
    ...(shared && { shared_out: activation("shared_out") }),
    ...(shared?.gated && { gate_logits: activation("router_logits") }),
    out: hidden,
  };
  const kind = shared ? (shared.gated ? "gated" : "plain") : "none";
  const dims = forRows(block, (T) => ({
    ...{ T, k: router.chosen, D, scale },
    ...(shared?.gated && { stride: routerColumns(moe), gate_column: router.experts }),
  }));
  graph.add(expertCombine({ shared: kind, identity: false }), buffers, dims);
}
