/**
 * `granitemoe`: granite with experts in place of every MLP, all of a layer in one tensor; and
 * `granitemoeshared`, which has an MLP for every token beside them.
 */
import { activation, count, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { granite } from "./granite.ts";
import { type MoeSpec, softmaxRouter } from "./moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function graniteMoe(config: RawConfig): DecoderSpec {
  const spec = granite({ ...config, mlp_bias: false });
  const moe: MoeSpec = {
    // Upstream takes the softmax of the chosen logits: the same weights.
    router: softmaxRouter(
      count(config, "num_local_experts", 8),
      count(config, "num_experts_per_tok", 2),
      {
        renormalised: true,
      },
    ),
    ffnSize: spec.ffnSize,
    activation: activation(config),
    names: {
      router: "block_sparse_moe.router.layer",
      stacked: {
        gateUp: "block_sparse_moe.input_linear.weight",
        down: "block_sparse_moe.output_linear.weight",
      },
    },
  };
  return {
    ...spec,
    modelType: "granitemoe",
    layers: spec.layers.map((layer) => ({ ...layer, moe })),
  };
}

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function graniteMoeShared(config: RawConfig): DecoderSpec {
  const spec = graniteMoe(config);
  const ffnSize = Number(config.shared_intermediate_size ?? 0);
  const named = { ...spec, modelType: "granitemoeshared" };
  if (ffnSize === 0) return named;
  const shared = { ffnSize: count(config, "shared_intermediate_size"), gated: false };
  const gateUp = ["shared_mlp.input_linear"];
  const names = { shared: { gateUp, down: "shared_mlp.output_linear" } };
  return {
    ...named,
    layers: spec.layers.map(({ moe, ...layer }) => ({
      ...layer,
      moe: moe && { ...moe, shared, names: { ...moe.names, ...names } },
    })),
  };
}
