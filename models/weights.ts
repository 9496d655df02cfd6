/**
 * Which tensors of a checkpoint make which weights: fused matrices are rows of several tensors,
 * one below the other. Names only; the runtime reads and places the bytes.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { DecoderSpec } from "./decoder.ts";
import { type MoeSpec, numMatrices } from "./moe.ts";

export interface WeightPart {
  readonly tensor: string;
  /** As the checkpoint must have it: [rows, columns], or [columns] for a vector; stacks before them. */
  readonly shape: readonly number[];
  /** Of so many rows those of one half alternate with those of the other; 0 or absent where not. */
  readonly alternating?: number;
}

export interface WeightSpec {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Stored as f32 whatever the checkpoint has: norms and biases, read by every row. */
  readonly vector: boolean;
  /** Added to each value of a vector. */
  readonly offset?: number;
  /** A row per token of the vocabulary. */
  readonly vocabulary: boolean;
  /** Rows that stay together where a matrix is too large for one binding: a head's. */
  readonly unit: number;
  /** Gates and the values that they gate, half the rows each: one format for all. */
  readonly gated: boolean;
  /** Matrices one below the other, all of one format; 1 unless it is a stack of experts. */
  readonly stacked: number;
  /** Never quantised on the way in: a router, whose near ties decide which experts run. */
  readonly exact: boolean;
  readonly parts: readonly WeightPart[];
  /** The same rows in one tensor, as other checkpoints of the family have them. */
  readonly whole?: WeightPart;
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
  const { hiddenSize: D, numHeads: N, numKvHeads: K, headDim: H } = spec;
  const weights: WeightSpec[] = [
    matrix("embedding", D, [["model.embed_tokens", spec.vocabSize]], { vocabulary: true }),
  ];
  const norm = (name: string, parts: readonly [string, number][]): WeightSpec => ({
    ...vector(name, parts),
    offset: spec.normOffset,
  });
  spec.layers.forEach(({ moe }, index) => {
    const layer = `model.layers.${index}`;
    const attention = `${layer}.self_attn`;
    const mlp = moe ? `${layer}.${moe.names.shared}` : `${layer}.mlp`;
    const F = moe ? moe.shared?.ffnSize : spec.ffnSize;
    const at = (name: string) => layerWeight(index, name);
    const fused = spec.fusedProjections ?? false;
    const projections: [string, number][] = fused
      ? [[`${attention}.qkv_proj`, (N + 2 * K) * H]]
      : [
          [`${attention}.q_proj`, N * H],
          [`${attention}.k_proj`, K * H],
          [`${attention}.v_proj`, K * H],
        ];
    weights.push(
      ...normNames[spec.norms].map(([name, tensor]) =>
        norm(at(name), [[`${layer}.${tensor}.weight`, D]]),
      ),
      matrix(at("qkv"), D, projections, { unit: H }),
      matrix(at("attention_out"), N * H, [[`${attention}.o_proj`, D]]),
    );
    if (F !== undefined)
      weights.push(...mlpWeights(at, mlp, { D, F, biased: spec.mlpBias, fused }));
    if (moe) weights.push(...moeWeights(at, layer, moe, D));
    if (spec.qkvBias) weights.push(vector(at("qkv_bias"), biases(projections)));
    if (spec.outputBias) {
      weights.push(vector(at("attention_out_bias"), biases([[`${attention}.o_proj`, D]])));
    }
    if (spec.attentionSinks) weights.push(vector(at("sinks"), [[`${attention}.sinks`, N]]));
    if (spec.qkNorm) {
      const norms: [string, number][] = [
        [`${attention}.q_norm.weight`, spec.qkNorm === "row" ? N * H : H],
        [`${attention}.k_norm.weight`, spec.qkNorm === "row" ? K * H : H],
      ];
      weights.push(norm(at("qk_norm"), norms));
    }
  });
  weights.push(norm("final_norm", [["model.norm.weight", D]]));
  if (!spec.tiedEmbeddings) {
    weights.push(matrix("lm_head", D, [["lm_head", spec.vocabSize]], { vocabulary: true }));
  }
  return weights;
}

type At = (name: string) => string;

function mlpWeights(
  at: At,
  mlp: string,
  { D, F, biased, fused }: { D: number; F: number; biased: boolean; fused: boolean },
): WeightSpec[] {
  const gates: [string, number][] = fused
    ? [[`${mlp}.gate_up_proj`, 2 * F]]
    : [
        [`${mlp}.gate_proj`, F],
        [`${mlp}.up_proj`, F],
      ];
  const down: [string, number][] = [[`${mlp}.down_proj`, D]];
  const weights = [matrix(at("gate_up"), D, gates, { gated: true }), matrix(at("down"), F, down)];
  if (!biased) return weights;
  return [
    ...weights,
    vector(at("gate_up_bias"), biases(gates)),
    vector(at("down_bias"), biases(down)),
  ];
}

function moeWeights(at: At, layer: string, moe: MoeSpec, D: number): WeightSpec[] {
  const { names, router, ffnSize: F } = moe;
  const E = numMatrices(router);
  const experts = Array.from({ length: E }, (_, e) => names.expert?.(e) ?? []).flat();
  const logits: [string, number][] = [[`${layer}.${names.router}`, router.experts]];
  if (moe.shared?.gated) logits.push([`${layer}.${names.sharedGate}`, 1]);
  const gateUp = experts.flatMap(({ gate, up }): [string, number][] => [
    [`${layer}.${gate}`, F],
    [`${layer}.${up}`, F],
  ]);
  const down = experts.map((expert): [string, number] => [`${layer}.${expert.down}`, D]);
  const alternating = names.alternate && { alternating: 2 * F };
  const stack = (name: string, each: [string, number][], whole: WeightPart): WeightSpec => {
    const [, rows, columns] = whole.shape;
    const spec = matrix(at(name), columns, each, { unit: rows, stacked: E });
    return each.length === 0 ? { ...spec, rows: E * rows, parts: [whole] } : { ...spec, whole };
  };
  const weights = [
    matrix(at("router"), D, logits, { exact: true }),
    stack("experts_gate_up", gateUp, {
      tensor: `${layer}.${names.stacked.gateUp}`,
      shape: [E, 2 * F, D],
      ...alternating,
    }),
    stack("experts_down", down, { tensor: `${layer}.${names.stacked.down}`, shape: [E, D, F] }),
  ];
  if (router.choiceBias) {
    weights.push(vector(at("choice_bias"), [[`${layer}.${names.choiceBias}`, router.experts]]));
  }
  if (names.biases) {
    const { gateUp, down } = names.biases;
    weights.push(
      vector(at("router_bias"), biases(logits)),
      stackedVector(at("experts_gate_up_bias"), {
        tensor: `${layer}.${gateUp}`,
        shape: [E, 2 * F],
        ...alternating,
      }),
      stackedVector(at("experts_down_bias"), { tensor: `${layer}.${down}`, shape: [E, D] }),
    );
  }
  return weights;
}

/** Norms of a layer and what checkpoints call them, by where they stand. */
const normNames: Readonly<Record<DecoderSpec["norms"], readonly (readonly [string, string])[]>> = {
  pre: [
    ["attention_norm", "input_layernorm"],
    ["mlp_norm", "post_attention_layernorm"],
  ],
  post: [
    ["attention_post_norm", "post_attention_layernorm"],
    ["mlp_post_norm", "post_feedforward_layernorm"],
  ],
  both: [
    ["attention_norm", "input_layernorm"],
    ["attention_post_norm", "post_attention_layernorm"],
    ["mlp_norm", "pre_feedforward_layernorm"],
    ["mlp_post_norm", "post_feedforward_layernorm"],
  ],
};

export const layerWeight = (layer: number, name: string): string => `layers.${layer}.${name}`;

function matrix(
  name: string,
  columns: number,
  parts: readonly (readonly [string, number])[],
  { vocabulary = false, gated = false, unit = 1, stacked = 1, exact = false } = {},
): WeightSpec {
  return {
    name,
    columns,
    rows: parts.reduce((sum, [, rows]) => sum + rows, 0),
    vector: false,
    vocabulary,
    unit,
    gated,
    stacked,
    exact,
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
    stacked: 1,
    exact: true,
    parts: parts.map(([tensor, size]) => ({ tensor, shape: [size] })),
  };
}

const stackedVector = (name: string, part: WeightPart): WeightSpec => ({
  ...vector(name, [["", part.shape[0] * part.shape[1]]]),
  parts: [part],
});

const biases = (parts: readonly (readonly [string, number])[]): [string, number][] =>
  parts.map(([tensor, size]) => [`${tensor}.bias`, size]);
