/**
 * From a layer's input to its queries and to keys and values in the cache: the QKV matrix alone where
 * it can rotate and write in its own epilogue, else `rope_kv_write` behind it. The same bits either way.
 */
import type { KvStorage } from "../kernels/kv-layout.ts";
import { qkNorm as qkNormOfRows } from "../kernels/qk-norm.ts";
import type { RotatingEpilogue } from "../kernels/rope-kv-epilogue.ts";
import { ropeKvWrite } from "../kernels/rope-kv-write.ts";
import { rotaryDims } from "../kernels/rope-tables.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { FusedTail, GraphBuilder, InputNorm } from "./graph.ts";
import { keptWhileSame } from "./step-sizes.ts";
import type { DecoderTensors } from "./tensors.ts";
import { layerWeight, type Weight } from "./weights.ts";

interface Layer {
  readonly layer: number;
  /** Of KV blocks. */
  readonly group: number;
  readonly norm?: InputNorm;
}

export function queryKeyValue(
  graph: GraphBuilder,
  spec: DecoderSpec,
  tensors: DecoderTensors,
  { layer, group, norm }: Layer,
): void {
  const { numHeads: N, numKvHeads: K, headDim: H, qkNorm, qkvBias, normEps: eps } = spec;
  const { kvStorage: storage, blockTokens: B } = tensors;
  const weight = (name: string) => tensors.weight(layerWeight(layer, name));
  const { rope } = spec.layers[layer];
  const R = rope ? rotaryDims(rope) : 0;
  const qkv = tensors.activation("qkv");
  const placed = {
    token_places: tensors.group(group).token_places,
    rope_table: tensors.ropeTable(layer),
    q: tensors.activation("q"),
    kv_pool: tensors.kvPool(layer),
  };
  const epilogue = rotatingEpilogue(spec, storage);
  const fused: FusedTail | undefined =
    epilogue && inOctets(weight("qkv"), H)
      ? {
          maxRows: graph.rotatingRows(weight("qkv")),
          epilogue,
          buffers: placed,
          dims: { heads: N, kv_heads: K, B, H, R },
        }
      : undefined;
  graph.matmul(
    weight("qkv"),
    { bias: qkvBias, tail: "store" },
    {
      x: tensors.activation("hidden"),
      out: qkv,
      ...(qkvBias && { bias: weight("qkv_bias").shards[0].slice }),
    },
    { norm, fused },
  );
  const fusedRows = fused?.maxRows ?? 0;
  const normWeight = qkNorm ? weight("qk_norm").shards[0].slice : undefined;
  if (qkNorm === "row") {
    const dims = keptWhileSame(({ T }) => ({ T, N, K, H, eps }));
    graph.add(qkNormOfRows, { x: qkv, weight: normWeight! }, dims);
  }
  const ofHeads = qkNorm === "head";
  graph.add(
    ropeKvWrite({ storage, qkNorm: ofHeads }),
    { qkv, ...placed, ...(ofHeads && { qk_norm: normWeight! }) },
    keptWhileSame(({ T }) => (T <= fusedRows ? undefined : { T, N, K, B, H, R, eps })),
  );
}

/** Undefined where more than octets is needed: for a norm, or for the scale of an int8 row. */
export const rotatingEpilogue = (
  { qkNorm, qkvBias, layers }: DecoderSpec,
  storage: KvStorage,
): RotatingEpilogue | undefined =>
  qkNorm || storage === "i8" || layers.every(({ latent }) => latent)
    ? undefined
    : { bias: qkvBias, tail: `rope_kv_${storage}` };

/** Whether each shard is whole heads, and a head is octets. */
const inOctets = ({ shards }: Weight, H: number): boolean =>
  H % 8 === 0 && shards.every(({ firstRow, rows }) => firstRow % H === 0 && rows % H === 0);
