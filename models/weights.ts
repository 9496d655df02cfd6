/**
 * Which tensors of a checkpoint make which weights: fused matrices are rows of several tensors,
 * one below the other. Names only; the runtime reads and places the bytes.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { DecoderSpec } from "./decoder.ts";

export interface WeightPart {
  readonly tensor: string;
  /** As the checkpoint must have it: [rows, columns], or [columns] for a vector. */
  readonly shape: readonly number[];
}

export interface WeightSpec {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Stored as f32 whatever the checkpoint has: norms and biases, read by every row. */
  readonly vector: boolean;
  /** A row per token of the vocabulary. */
  readonly vocabulary: boolean;
  /** Rows that stay together where a matrix is too large for one binding: a head's. */
  readonly unit: number;
  /** Gates and the values that they gate, half the rows each: one format for all. */
  readonly gated: boolean;
  readonly parts: readonly WeightPart[];
}

/** A run of rows of a matrix in one binding, of one format; of a gated one, gates over their values. */
export interface WeightShard {
  readonly slice: BufferSlice;
  readonly format: WeightFormatName;
  /** Of a gated matrix, the first gate. */
  readonly firstRow: number;
  /** Gates and values together. */
  readonly rows: number;
}

export interface Weight {
  readonly rows: number;
  readonly columns: number;
  readonly shards: readonly WeightShard[];
}

export function decoderWeights(spec: DecoderSpec): WeightSpec[] {
  const { hiddenSize: D, ffnSize: F, numHeads: N, numKvHeads: K, headDim: H } = spec;
  const weights: WeightSpec[] = [
    matrix("embedding", D, [["model.embed_tokens", spec.vocabSize]], { vocabulary: true }),
  ];
  spec.layers.forEach((_, index) => {
    const layer = `model.layers.${index}`;
    const attention = `${layer}.self_attn`;
    const mlp = `${layer}.mlp`;
    const at = (name: string) => layerWeight(index, name);
    const projections: [string, number][] = [
      [`${attention}.q_proj`, N * H],
      [`${attention}.k_proj`, K * H],
      [`${attention}.v_proj`, K * H],
    ];
    const gates: [string, number][] = [
      [`${mlp}.gate_proj`, F],
      [`${mlp}.up_proj`, F],
    ];
    weights.push(
      vector(at("attention_norm"), [[`${layer}.input_layernorm.weight`, D]]),
      matrix(at("qkv"), D, projections, { unit: H }),
      matrix(at("attention_out"), N * H, [[`${attention}.o_proj`, D]]),
      vector(at("mlp_norm"), [[`${layer}.post_attention_layernorm.weight`, D]]),
      matrix(at("gate_up"), D, gates, { gated: true }),
      matrix(at("down"), F, [[`${mlp}.down_proj`, D]]),
    );
    if (spec.qkvBias) weights.push(vector(at("qkv_bias"), biases(projections)));
    if (spec.outputBias) {
      weights.push(vector(at("attention_out_bias"), biases([[`${attention}.o_proj`, D]])));
    }
    if (spec.mlpBias) {
      weights.push(vector(at("gate_up_bias"), biases(gates)));
      weights.push(vector(at("down_bias"), biases([[`${mlp}.down_proj`, D]])));
    }
    if (spec.qkNorm) {
      const norms: [string, number][] = [
        [`${attention}.q_norm.weight`, H],
        [`${attention}.k_norm.weight`, H],
      ];
      weights.push(vector(at("qk_norm"), norms));
    }
  });
  weights.push(vector("final_norm", [["model.norm.weight", D]]));
  if (!spec.tiedEmbeddings) {
    weights.push(matrix("lm_head", D, [["lm_head", spec.vocabSize]], { vocabulary: true }));
  }
  return weights;
}

export const layerWeight = (layer: number, name: string): string => `layers.${layer}.${name}`;

function matrix(
  name: string,
  columns: number,
  parts: readonly (readonly [string, number])[],
  { vocabulary = false, gated = false, unit = 1 } = {},
): WeightSpec {
  return {
    name,
    columns,
    rows: parts.reduce((sum, [, rows]) => sum + rows, 0),
    vector: false,
    vocabulary,
    unit,
    gated,
    parts: parts.map(([tensor, rows]) => ({ tensor: `${tensor}.weight`, shape: [rows, columns] })),
  };
}

function vector(name: string, parts: readonly (readonly [string, number])[]): WeightSpec {
  const columns = parts.reduce((sum, [, size]) => sum + size, 0);
  return {
    name,
    columns,
    rows: 1,
    vector: true,
    vocabulary: false,
    unit: 1,
    gated: false,
    parts: parts.map(([tensor, size]) => ({ tensor, shape: [size] })),
  };
}

const biases = (parts: readonly (readonly [string, number])[]): [string, number][] =>
  parts.map(([tensor, size]) => [`${tensor}.bias`, size]);
