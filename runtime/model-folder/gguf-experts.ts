/** Of a GGUF file's mixture of experts, what config.json says of it under its families' names. */
import type { GgufHeader } from "../weights/gguf-header.ts";
import type { GgufMetadata } from "../weights/gguf-metadata.ts";
import type { Experts } from "./gguf-architectures.ts";
import { unsupported } from "./gguf-unsupported.ts";

/** llama.cpp's numbers for a softmax of all, and of the chosen: the same where weights add up to 1. */
const SOFTMAX = 1;
const SOFTMAX_OF_CHOSEN = 3;
const SIGMOID = 2;

/**
 * Nothing where the model has none.
 * @throws {WeftError} `unsupported_model` for a router that no model file of ours computes, `bad_gguf`.
 */
export function ggufExperts(
  header: GgufHeader,
  metadata: GgufMetadata,
  name: string,
  experts: Experts | undefined,
): Record<string, unknown> {
  const key = (suffix: string) => `${name}.${suffix}`;
  const count = metadata.count(key("expert_count")) ?? 0;
  if (!experts) {
    if (count === 0) return {};
    throw unsupported(header, `${key("expert_count")} ${count}`, `${name} without experts`);
  }
  if (count === 0 && experts.optional) return {};
  checkRouter(header, metadata, name, experts);
  const mlpSize = metadata.requiredCount(key("feed_forward_length"));
  const ownSize = metadata.count(key("expert_feed_forward_length"));
  const sharedSize = metadata.count(key("expert_shared_feed_forward_length"));
  const numExperts = metadata.requiredCount(key("expert_count"));
  const size = experts.ownSize
    ? { moe_intermediate_size: metadata.requiredCount(key("expert_feed_forward_length")) }
    : { intermediate_size: ownSize || mlpSize };
  return {
    ...size,
    num_experts: numExperts,
    num_local_experts: numExperts,
    num_experts_per_tok: metadata.requiredCount(key("expert_used_count")),
    norm_topk_prob: experts.renormalised,
    ...(experts.sigmoid && sigmoidRouter(header, metadata, name)),
    ...(experts.shared === "always" && { shared_expert_intermediate_size: sharedSize || mlpSize }),
    ...(experts.shared === "sized" && { shared_intermediate_size: sharedSize }),
  };
}

function sigmoidRouter(
  { tensors }: GgufHeader,
  metadata: GgufMetadata,
  name: string,
): Record<string, unknown> {
  return {
    num_dense_layers: metadata.requiredCount(`${name}.leading_dense_block_count`),
    use_expert_bias: [...tensors.keys()].some((tensor) => tensor.endsWith(".exp_probs_b.bias")),
    routed_scaling_factor: scaleOf(metadata, name),
  };
}

/** 0 is llama.cpp's default, and scales nothing. */
const scaleOf = (metadata: GgufMetadata, name: string): number =>
  metadata.number(`${name}.expert_weights_scale`) || 1;

/** Keys that converters of these families do not write say what llama.cpp computes without them. */
function checkRouter(
  header: GgufHeader,
  metadata: GgufMetadata,
  name: string,
  { renormalised, sigmoid }: Experts,
): void {
  const usual = sigmoid ? SIGMOID : SOFTMAX;
  const gating = metadata.count(`${name}.expert_gating_func`) || usual;
  if (gating !== usual && !(renormalised && !sigmoid && gating === SOFTMAX_OF_CHOSEN)) {
    const supported = sigmoid ? "sigmoid" : "softmax";
    throw unsupported(header, `${name}.expert_gating_func ${gating}`, `${supported} (${usual})`);
  }
  const norm = metadata.flag(`${name}.expert_weights_norm`) ?? renormalised;
  if (norm !== renormalised) {
    throw unsupported(header, `${name}.expert_weights_norm ${norm}`, `${renormalised}`);
  }
  const scale = scaleOf(metadata, name);
  if (scale !== 1 && !sigmoid)
    throw unsupported(header, `${name}.expert_weights_scale ${scale}`, "1");
  for (const [suffix, most] of [
    ["expert_group_count", 1],
    ["leading_dense_block_count", sigmoid ? Number.POSITIVE_INFINITY : 0],
  ] as const) {
    const value = metadata.count(`${name}.${suffix}`) ?? 0;
    if (value > most) throw unsupported(header, `${name}.${suffix} ${value}`, `at most ${most}`);
  }
}
