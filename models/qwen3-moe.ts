/** `qwen3_moe`: qwen3 in which most layers have experts in place of the MLP. */
import { activation, count, flag, layerNumbers, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { type MoeNames, type MoeSpec, softmaxRouter } from "./moe.ts";
import { qwen3 } from "./qwen3.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function qwen3Moe(config: RawConfig): DecoderSpec {
  const spec = qwen3(config);
  const moe: MoeSpec = {
    router: softmaxRouter(count(config, "num_experts"), count(config, "num_experts_per_tok"), {
      renormalised: flag(config, "norm_topk_prob", false),
    }),
    ffnSize: count(config, "moe_intermediate_size"),
    activation: activation(config),
    names: qwenExperts,
  };
  const isSparse = sparseLayers(config);
  return {
    ...spec,
    modelType: "qwen3_moe",
    layers: spec.layers.map((layer, index) => (isSparse(index) ? { ...layer, moe } : layer)),
  };
}

export const qwenExperts: MoeNames = {
  router: "mlp.gate",
  expert: (e) => ({
    gate: `mlp.experts.${e}.gate_proj`,
    up: `mlp.experts.${e}.up_proj`,
    down: `mlp.experts.${e}.down_proj`,
  }),
  stacked: { gateUp: "mlp.experts.gate_up_proj", down: "mlp.experts.down_proj" },
};

/** Every `decoder_sparse_step`-th layer has experts, those of `mlp_only_layers` aside. */
export function sparseLayers(config: RawConfig): (layer: number) => boolean {
  const step = count(config, "decoder_sparse_step", 1);
  const dense = new Set(layerNumbers(config, "mlp_only_layers"));
  return (layer) => !dense.has(layer) && (layer + 1) % step === 0;
}
