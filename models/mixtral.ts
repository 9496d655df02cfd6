/** `mixtral`: mistral with experts in place of every MLP. */
import { activation, count, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { mistral } from "./mistral.ts";
import { type MoeSpec, softmaxRouter } from "./moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function mixtral(config: RawConfig): DecoderSpec {
  const spec = mistral({ rope_theta: 1_000_000, ...config });
  const experts = "block_sparse_moe.experts";
  const moe: MoeSpec = {
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
      router: "block_sparse_moe.gate",
      expert: (e) => ({
        gate: `${experts}.${e}.w1`,
        up: `${experts}.${e}.w3`,
        down: `${experts}.${e}.w2`,
      }),
      stacked: { gateUp: "mlp.experts.gate_up_proj", down: "mlp.experts.down_proj" },
    },
  };
  return {
    ...spec,
    modelType: "mixtral",
    layers: spec.layers.map((layer) => ({ ...layer, moe })),
  };
}
