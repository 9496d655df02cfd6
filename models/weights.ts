/**
 * Which tensors of a checkpoint make which weights: fused matrices are rows of several tensors,
 * one below the other. Names only; the runtime reads and places the bytes.
 */
import type { ConvolutionSpec, DecoderSpec } from "./decoder.ts";
import { latentWeights } from "./latent.ts";
import { moeWeights } from "./moe-weights.ts";
import {
  biases,
  layerWeight,
  matrix,
  type TensorRows,
  vector,
  type WeightSpec,
} from "./weight-spec.ts";

export {
  layerWeight,
  type Weight,
  type WeightPart,
  type WeightShard,
  type WeightSpec,
} from "./weight-spec.ts";

export function decoderWeights(spec: DecoderSpec): WeightSpec[] {
  const { hiddenSize: D, numHeads: N, numKvHeads: K, headDim: H } = spec;
  const weights: WeightSpec[] = [
    matrix("embedding", D, [["model.embed_tokens", spec.vocabSize]], { vocabulary: true }),
  ];
  const norm = (name: string, parts: readonly TensorRows[]): WeightSpec => ({
    ...vector(name, parts),
    offset: spec.normOffset,
  });
  spec.layers.forEach(({ moe, latent, convolution }, index) => {
    const layer = `model.layers.${index}`;
    const attention = `${layer}.self_attn`;
    const at = (name: string) => layerWeight(index, name);
    const fused = spec.fusedProjections ?? false;
    const projections: TensorRows[] = fused
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
      ...(moe ? moeWeights(at, layer, moe, D) : mlpWeights(at, `${layer}.mlp`, spec)),
    );
    if (convolution) {
      weights.push(...convolutionWeights(at, `${layer}.conv`, convolution, D));
      return;
    }
    weights.push(
      ...(latent
        ? latentWeights(at, attention, latent, { D, N })
        : [matrix(at("qkv"), D, projections, { unit: H })]),
      matrix(at("attention_out"), N * (latent?.valueDims ?? H), [[`${attention}.o_proj`, D]]),
    );
    if (spec.qkvBias) weights.push(vector(at("qkv_bias"), biases(projections)));
    if (spec.outputBias) {
      weights.push(vector(at("attention_out_bias"), biases([[`${attention}.o_proj`, D]])));
    }
    if (spec.attentionSinks) weights.push(vector(at("sinks"), [[`${attention}.sinks`, N]]));
    if (spec.qkNorm) {
      const norms: TensorRows[] = [
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
  return spec.tensorNames ? weights.map((weight) => renamed(weight, spec.tensorNames!)) : weights;
}

/** Between what says where a tensor is and what it is of its module. */
const TENSOR_NAME = /^(model\.layers\.\d+\.)?(.+?)(\.weight|\.bias)?$/;

function renamed(weight: WeightSpec, names: Readonly<Record<string, string>>): WeightSpec {
  const parts = weight.parts.map((part) => {
    const [, layer = "", name, kind = ""] = TENSOR_NAME.exec(part.tensor)!;
    return { ...part, tensor: layer + (names[name] ?? name) + kind };
  });
  return { ...weight, parts };
}

function convolutionWeights(
  at: (name: string) => string,
  conv: string,
  { taps, bias }: ConvolutionSpec,
  D: number,
): WeightSpec[] {
  const into: TensorRows[] = [[`${conv}.in_proj`, 3 * D]];
  const out: TensorRows[] = [[`${conv}.out_proj`, D]];
  const weights = [
    matrix(at("conv_in"), D, into),
    {
      ...vector(at("conv_taps"), [["", D * taps]]),
      parts: [{ tensor: `${conv}.conv.weight`, shape: [D, 1, taps] }],
    },
    matrix(at("conv_out"), D, out),
  ];
  if (!bias) return weights;
  return [
    ...weights,
    vector(at("conv_in_bias"), biases(into)),
    vector(at("conv_bias"), biases([[`${conv}.conv`, D]])),
    vector(at("conv_out_bias"), biases(out)),
  ];
}

function mlpWeights(
  at: (name: string) => string,
  mlp: string,
  { hiddenSize: D, ffnSize: F, mlpBias, fusedProjections }: DecoderSpec,
): WeightSpec[] {
  const gates: TensorRows[] = fusedProjections
    ? [[`${mlp}.gate_up_proj`, 2 * F]]
    : [
        [`${mlp}.gate_proj`, F],
        [`${mlp}.up_proj`, F],
      ];
  const down: TensorRows[] = [[`${mlp}.down_proj`, D]];
  const weights = [matrix(at("gate_up"), D, gates, { gated: true }), matrix(at("down"), F, down)];
  if (!mlpBias) return weights;
  return [
    ...weights,
    vector(at("gate_up_bias"), biases(gates)),
    vector(at("down_bias"), biases(down)),
  ];
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
