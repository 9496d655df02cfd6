/**
 * A decoder as a graph of kernel calls: embedding, then attention and MLP per layer, then the head.
 * Six dispatches per layer when at most 16 rows decode, seven with QK-norm; ten in a mixed step, whose
 * many rows are normalised, rotated and attended to by kernels of their own; two more where norms stand
 * after blocks, and one with QK-norm over whole rows; four in place of attention where a layer
 * convolves. The residual stream is f32, updated in place by the epilogues of output projections.
 */
import { attentionDecode } from "../kernels/attention-decode.ts";
import { attentionPrefill } from "../kernels/attention-prefill.ts";
import { attentionReduce, attentionReduceWithSinks } from "../kernels/attention-reduce.ts";
import { attentionShapeDims } from "../kernels/attention-work.ts";
import { embedding } from "../kernels/embedding.ts";
import type { Dims } from "../kernels/kernel.ts";
import { requireChunkedColumns } from "../kernels/matmul-kernel.ts";
import { rowGather } from "../kernels/row-gather.ts";
import type { BlockKinds } from "./block-kinds.ts";
import { addToResidual } from "./block-output.ts";
import { type DecoderSpec, layerGroups } from "./decoder.ts";
import { GraphBuilder, type GraphNode, type InputNorm } from "./graph.ts";
import { checkLatent } from "./latent.ts";
import { stagesOf } from "./layer-plan.ts";
import { checkMoe } from "./moe.ts";
import { queryKeyValue } from "./qkv.ts";
import { keptWhileSame, type StepSizes } from "./step-sizes.ts";
import type { DecoderTensors } from "./tensors.ts";
import { layerWeight, type Weight } from "./weights.ts";

/** @throws {KernelError} `bad_shape` for sizes that no kernel computes; {ModelError} for a router's. */
export function checkDecoderShape({
  hiddenSize,
  ffnSize,
  numHeads,
  headDim,
  layers,
}: DecoderSpec): void {
  requireChunkedColumns("hidden_size", hiddenSize);
  const moes = layers.flatMap(({ moe }) => moe ?? []);
  for (const moe of new Set(moes)) checkMoe(moe);
  if (moes.length < layers.length) requireChunkedColumns("intermediate_size", ffnSize);
  const latents = layers.flatMap(({ latent }) => latent ?? []);
  for (const latent of new Set(latents)) checkLatent(latent, numHeads);
  if (latents.length < layers.length) {
    requireChunkedColumns("num_attention_heads × head_dim", numHeads * headDim);
  }
}

/** @param kinds `blockKinds` of the model. @throws {KernelError} as `checkDecoderShape`. */
export function decoderGraph(
  spec: DecoderSpec,
  tensors: DecoderTensors,
  kinds: BlockKinds,
): GraphNode[] {
  checkDecoderShape(spec);
  const graph = new GraphBuilder(tensors.matmul);
  const groups = layerGroups(spec);
  const work = groups.map(({ window, latent }, group) =>
    latent
      ? kinds.latent!.latentDims(spec, latent, tensors, group)
      : attentionDims(spec, tensors, group, window),
  );
  graph.nextStage("embed");
  embed(graph, spec, tensors);
  const { layers, repeatable = [] } = spec;
  for (const { kind, layer, isExtra } of stagesOf(spec)) {
    if (kind === "attention") {
      // The first of two runs has the layer's weights, and keys and values of its own.
      const run = isExtra ? layers.length + repeatable.indexOf(layer) : layer;
      const group = groups.findIndex((of) => of.layers.includes(run));
      const own = { ...tensors, kvPool: () => tensors.kvPool(run) };
      const { convolution } = layers[layer];
      if (convolution) {
        graph.nextStage(`layer ${layer} convolution`);
        const norm = inputNorm(spec, tensors, tensors.weight(layerWeight(layer, "attention_norm")));
        const at = { layer, group, norm };
        kinds.convolution!.shortConvolution(graph, spec, convolution, own, at);
      } else {
        graph.nextStage(`layer ${layer} attention`);
        attention(graph, spec, own, kinds, { layer, group, work: work[group] });
      }
    } else if (kind === "mlp") {
      const label = `layer ${layer} mlp`;
      const isLast = layer === layers.length - 1 && !isExtra;
      const add = (rows: typeof ALL_ROWS | typeof SAMPLED_ROWS) =>
        mlp(graph, spec, tensors, kinds, layer, rows);
      graph.nextStage(label);
      if (!isLast) {
        add(ALL_ROWS);
        continue;
      }
      // Nothing reads what the last MLP adds to rows that are not sampled; whoever runs it runs the
      // head. It takes all rows where some of those that are sampled leave it out.
      graph.inForm("T", label, () => add(ALL_ROWS));
      graph.nextStage("head");
      gatherSampled(graph, spec, tensors);
      graph.inForm("R", label, () => add(SAMPLED_ROWS));
    }
  }
  head(graph, spec, tensors);
  return graph.nodes;
}

function embed(
  graph: GraphBuilder,
  { hiddenSize: D, embeddingScale: scale }: DecoderSpec,
  tensors: DecoderTensors,
): void {
  const { token_ids, last_token } = tensors;
  const weight = tensors.weight("embedding");
  for (const { slice, format, firstRow, rows } of weight.shards) {
    const buffers = { token_ids, last_token, weight: slice, out: tensors.activation("hidden") };
    const dims = keptWhileSame(({ T }) => ({
      T,
      D,
      V: rows,
      first_row: firstRow,
      ...(scale && { scale }),
    }));
    graph.add(embedding(format, { scaled: scale !== undefined }), buffers, dims);
  }
}

function attention(
  graph: GraphBuilder,
  spec: DecoderSpec,
  tensors: DecoderTensors,
  kinds: BlockKinds,
  { layer, group, work }: AttentionLayer,
): void {
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const norm =
    spec.norms === "post" ? undefined : inputNorm(spec, tensors, weight("attention_norm"));
  const { latent } = spec.layers[layer];
  const at = { layer, group, norm, work };
  if (latent) kinds.latent!.latentAttention(graph, spec, latent, tensors, at);
  else headAttention(graph, spec, tensors, at);
  addToResidual(graph, spec, {
    projection: weight("attention_out"),
    ...(spec.outputBias && { bias: weight("attention_out_bias") }),
    ...(spec.norms !== "pre" && { norm: weight("attention_post_norm") }),
    ...{ x: tensors.activation("attended"), rows: "T" },
    hidden: tensors.activation("hidden"),
    projected: tensors.activation("normed"),
  });
}

interface AttentionLayer {
  readonly layer: number;
  /** Of KV blocks. */
  readonly group: number;
  readonly norm?: InputNorm;
  readonly work: (step: StepSizes) => Dims;
}

/** Keys and values per KV head. */
function headAttention(
  graph: GraphBuilder,
  spec: DecoderSpec,
  tensors: DecoderTensors,
  { layer, group, norm, work }: AttentionLayer,
): void {
  const { numHeads: N, numKvHeads: K, headDim: H } = spec;
  const { kvStorage, blockTokens: B, partials } = tensors;
  const { G } = attentionShapeDims({ N, K, B, H });
  const { block_table, decode_tiles, decode_rows, query_tiles } = tensors.group(group);
  const q = tensors.activation("q");
  const out = tensors.activation("attended");
  const kv_pool = tensors.kvPool(layer);
  graph.makingKeys(() => queryKeyValue(graph, spec, tensors, { layer, group, norm }));
  const capped = spec.attentionCap !== undefined;
  const sinks = spec.attentionSinks
    ? { sinks: tensors.weight(layerWeight(layer, "sinks")).shards[0].slice }
    : undefined;
  graph.add(
    attentionDecode(kvStorage, { capped }),
    { q, kv_pool, block_table, decode_tiles, partials },
    (step) => atLeastOne(work(step), "W"),
    { H, B, G },
  );
  graph.add(
    sinks ? attentionReduceWithSinks : attentionReduce,
    { partials, decode_rows, out, ...sinks },
    (step) => atLeastOne(work(step), "U"),
  );
  graph.add(
    attentionPrefill(kvStorage, { capped, sinks: sinks !== undefined }),
    { q, kv_pool, block_table, query_tiles, out, ...sinks },
    (step) => atLeastOne(work(step), "Q"),
    { H, B },
  );
}

/** Sizes of a step's attention in a group: its layers ask for them one after another. */
function attentionDims(
  { numHeads: N, numKvHeads: K, headDim: H, attentionScale, attentionCap }: DecoderSpec,
  { blockTokens: B, maxBlocks: M }: DecoderTensors,
  group: number,
  window = 0,
): (step: StepSizes) => Dims {
  const shape = attentionShapeDims({ N, K, B, H });
  const scale = attentionScale ?? 1 / Math.sqrt(H);
  const capping = attentionCap === undefined ? undefined : { cap: attentionCap };
  let known: StepSizes | undefined;
  let dims: Dims;
  return (step) => {
    if (step === known) return dims;
    known = step;
    dims = {
      N,
      K,
      B,
      H,
      M,
      window,
      scale,
      ...capping,
      ...shape,
      T: step.T,
      ...step.attention[group],
    };
    return dims;
  };
}

/** The rows that a block works on. */
const ALL_ROWS = { rows: "T", hidden: "hidden", normed: "normed" } as const;
const SAMPLED_ROWS = { rows: "R", hidden: "sampled_hidden", normed: "sampled_normed" } as const;

function mlp(
  graph: GraphBuilder,
  spec: DecoderSpec,
  tensors: DecoderTensors,
  kinds: BlockKinds,
  layer: number,
  { rows, hidden: name, normed }: typeof ALL_ROWS | typeof SAMPLED_ROWS,
): void {
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const hidden = tensors.activation(name);
  const ownNorm = () => inputNorm(spec, tensors, weight("mlp_norm"), normed);
  const { moe } = spec.layers[layer];
  if (moe) {
    kinds.experts!.moeBlock(graph, spec, moe, tensors, layer, { rows, hidden, norm: ownNorm() });
    return;
  }
  const gated = tensors.activation("gated");
  const norm = spec.norms === "post" ? undefined : ownNorm();
  graph.matmul(
    weight("gate_up"),
    { bias: spec.mlpBias, tail: spec.activation },
    {
      x: hidden,
      out: gated,
      ...(spec.mlpBias && { bias: weight("gate_up_bias").shards[0].slice }),
    },
    { rows, norm },
  );
  addToResidual(graph, spec, {
    projection: weight("down"),
    ...(spec.mlpBias && { bias: weight("down_bias") }),
    ...(spec.norms !== "pre" && { norm: weight("mlp_post_norm") }),
    ...{ x: gated, rows, hidden },
    projected: tensors.activation(normed),
  });
}

const inputNorm = (
  { normEps: eps }: DecoderSpec,
  tensors: DecoderTensors,
  { shards }: Weight,
  out: "normed" | "sampled_normed" = "normed",
): InputNorm => ({ weight: shards[0].slice, eps, out: tensors.activation(out) });

function gatherSampled(graph: GraphBuilder, spec: DecoderSpec, tensors: DecoderTensors): void {
  const buffers = {
    x: tensors.activation("hidden"),
    rows: tensors.sampled_rows,
    out: tensors.activation("sampled_hidden"),
  };
  const { hiddenSize: D } = spec;
  const dims = keptWhileSame(({ T, R }) => (R === 0 ? undefined : { T, R, D }));
  graph.add(rowGather, buffers, dims);
}

/** Only rows that are sampled pay for the last MLP, the final norm and the vocabulary. */
function head(graph: GraphBuilder, spec: DecoderSpec, tensors: DecoderTensors): void {
  const hidden = tensors.activation("sampled_hidden");
  const norm = inputNorm(spec, tensors, tensors.weight("final_norm"), "sampled_normed");
  const lmHead = tensors.weight(spec.tiedEmbeddings ? "embedding" : "lm_head");
  const { logitCap, logitScale } = spec;
  const scale = logitCap ?? logitScale;
  const tail = logitCap ? "capped_store" : logitScale ? "scaled_store" : "store";
  const logits = tensors.activation("logits");
  graph.matmul(
    lmHead,
    { bias: false, tail },
    { x: hidden, out: logits },
    { rows: "R", norm, scale },
  );
}

const atLeastOne = (dims: Dims, name: string) => (dims[name] > 0 ? dims : undefined);
