/**
 * Multi-head latent attention as kernel calls, absorbed: queries are carried into the space of the latent
 * by each head's key matrix, attend to what the cache holds, and what they find is carried to values by
 * its value matrix. For decode and for prompts alike, so that a row has the same bits either way.
 */
import { attentionReduce } from "../kernels/attention-reduce.ts";
import { headMatmul } from "../kernels/head-matmul.ts";
import type { Dims } from "../kernels/kernel.ts";
import { latentDecode } from "../kernels/latent-decode.ts";
import { latentShapeDims } from "../kernels/latent-layout.ts";
import { latentPrefill } from "../kernels/latent-prefill.ts";
import { latentWrite } from "../kernels/latent-write.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { GraphBuilder, InputNorm } from "./graph.ts";
import { headRows, type LatentSpec, latentRow, latentStorage } from "./latent.ts";
import { keptWhileSame, type StepSizes } from "./step-sizes.ts";
import type { ActivationName, DecoderTensors } from "./tensors.ts";
import { layerWeight, type Weight } from "./weights.ts";

interface Layer {
  readonly layer: number;
  /** Of KV blocks. */
  readonly group: number;
  readonly norm?: InputNorm;
  readonly work: (step: StepSizes) => Dims;
}

/** From a layer's input to `attended`, the values of all heads. */
export function latentAttention(
  graph: GraphBuilder,
  spec: DecoderSpec,
  latent: LatentSpec,
  tensors: DecoderTensors,
  { layer, group, norm, work }: Layer,
): void {
  const { numHeads: N } = spec;
  const { rank: H, ropeDims: R, nopeDims, valueDims, normEps: eps } = latent;
  const { partials, blockTokens: B } = tensors;
  const X = latentRow(latent);
  const storage = latentStorage(tensors.kvStorage);
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const activation = (name: ActivationName) => tensors.activation(name);
  const { token_places, block_table, decode_tiles, decode_rows, query_tiles } =
    tensors.group(group);
  const kv_pool = tensors.kvPool(layer);
  const [q, q_latent] = [activation("q"), activation("q_latent")];
  const out = activation("attended_latent");

  // Of queries too: one kernel rotates both, and writes what the cache keeps.
  graph.makingKeys(() => {
    queries(graph, latent, tensors, { norm, weight });
    const x = activation("kv_down");
    const store = { bias: false, tail: "store" } as const;
    graph.matmul(weight("kv_down"), store, { x: activation("hidden"), out: x }, { norm });
    graph.add(
      latentWrite(storage),
      {
        ...{ x, q, token_places, rope_table: tensors.ropeTable(layer) },
        ...{ norm_weight: weight("kv_norm").shards[0].slice, q_latent, kv_pool },
      },
      keptWhileSame(({ T }) => ({ T, N, B, H, R, X, Y: nopeDims + R, eps })),
    );
  });
  const up = weight("kv_up").shards[0];
  const perHead = { N, L: H, head_rows: headRows(latent) };
  graph.add(
    headMatmul(up.format, "columns"),
    { x: q, weight: up.slice, out: q_latent },
    keptWhileSame(({ T }) => ({
      ...{ T, ...perHead, D: nopeDims, first_row: 0 },
      ...{ x_head: nopeDims + R, out_head: X },
    })),
  );
  graph.add(
    latentDecode(storage),
    { q: q_latent, kv_pool, block_table, decode_tiles, partials },
    (step) => atLeastOne(work(step), "W"),
    { H, X, B },
  );
  graph.add(attentionReduce, { partials, decode_rows, out }, (step) => atLeastOne(work(step), "U"));
  graph.add(
    latentPrefill(storage),
    { q: q_latent, kv_pool, block_table, query_tiles, out },
    (step) => atLeastOne(work(step), "Q"),
    { H, X, B },
  );
  graph.add(
    headMatmul(up.format, "rows"),
    { x: out, weight: up.slice, out: activation("attended") },
    keptWhileSame(({ T }) => ({
      ...{ T, ...perHead, D: valueDims, first_row: nopeDims },
      ...{ x_head: H, out_head: valueDims },
    })),
  );
}

function queries(
  graph: GraphBuilder,
  { queryRank, normEps: eps }: LatentSpec,
  tensors: DecoderTensors,
  { norm, weight }: { readonly norm?: InputNorm; weight(name: string): Weight },
): void {
  const store = { bias: false, tail: "store" } as const;
  const [x, out] = [tensors.activation("hidden"), tensors.activation("q")];
  if (!queryRank) {
    graph.matmul(weight("q"), store, { x, out }, { norm });
    return;
  }
  const down = tensors.activation("q_down");
  graph.matmul(weight("q_down"), store, { x, out: down }, { norm });
  const own = {
    weight: weight("q_norm").shards[0].slice,
    eps,
    out: tensors.activation("q_down_normed"),
  };
  graph.matmul(weight("q_up"), store, { x: down, out }, { norm: own });
}

/** Sizes of a step's attention in a group. */
export function latentDims(
  { numHeads: N, attentionScale }: DecoderSpec,
  { rank: H, ropeDims: R, nopeDims }: LatentSpec,
  { blockTokens: B, maxBlocks: M }: DecoderTensors,
  group: number,
): (step: StepSizes) => Dims {
  const shape = latentShapeDims({ N, H, R, B });
  const scale = attentionScale ?? 1 / Math.sqrt(nopeDims + R);
  let known: StepSizes | undefined;
  let dims: Dims;
  return (step) => {
    if (step === known) return dims;
    known = step;
    dims = { N, K: 1, B, H, R, M, window: 0, scale, ...shape, T: step.T, ...step.attention[group] };
    return dims;
  };
}

const atLeastOne = (dims: Dims, name: string) => (dims[name] > 0 ? dims : undefined);
