// What lfm2 and lfm2_moe read from config.json, and which configs they refuse and how.

import { expect, test } from "vitest";
import { checkDecoderShape } from "../../models/blocks.ts";
import type { RawConfig } from "../../models/config.ts";
import { layerGroups } from "../../models/decoder.ts";
import { readDecoderSpec } from "../../models/registry.ts";
import { decoderWeights } from "../../models/weights.ts";

/** As LFM2-1.2B was published. */
const published = {
  block_auto_adjust_ff_dim: true,
  block_ff_dim: 12_288,
  block_ffn_dim_multiplier: 1,
  block_multiple_of: 256,
  conv_L_cache: 3,
  conv_bias: false,
  full_attn_idxs: [2, 5, 8, 10, 12, 14],
  hidden_size: 2048,
  max_position_embeddings: 128_000,
  norm_eps: 1e-5,
  num_attention_heads: 32,
  num_hidden_layers: 16,
  num_key_value_heads: 8,
  rope_theta: 1_000_000,
  vocab_size: 65_536,
};
const experts = {
  ...{ num_experts: 32, num_experts_per_tok: 4, moe_intermediate_size: 1792 },
  ...{ num_dense_layers: 2, intermediate_size: 7168, num_hidden_layers: 4 },
  layer_types: ["conv", "conv", "full_attention", "conv"],
};

async function specOf(model_type: string, keys: RawConfig = {}) {
  const own = model_type === "lfm2_moe" ? { ...published, ...experts } : published;
  const spec = await readDecoderSpec({ ...own, model_type, ...keys });
  checkDecoderShape(spec);
  return spec;
}

const refusals: readonly (readonly [string, RawConfig, string, RegExp])[] = [
  ["lfm2", { conv_L_cache: 0 }, "bad_config", /has 0 as conv_L_cache/],
  ["lfm2", { conv_bias: 1 }, "bad_config", /conv_bias, which must be true or false/],
  ["lfm2", { full_attn_idxs: "2" }, "bad_config", /full_attn_idxs.*list of layer numbers/],
  ["lfm2", { layer_types: ["conv"] }, "bad_config", /layer_types.*a list of 16/],
  [
    "lfm2",
    { layer_types: Array(16).fill("linear_attention") },
    "unsupported_model",
    /layer_types\[0\] = "linear_attention", Weft computes conv or full_attention/,
  ],
  ["lfm2", { block_ff_dim: 0 }, "bad_config", /block_ff_dim/],
  [
    "lfm2",
    { block_ff_dim: undefined },
    "bad_config",
    /has no intermediate_size, which must be a positive integer/,
  ],
  ["lfm2", { block_multiple_of: -1 }, "bad_config", /block_multiple_of/],
  ["lfm2", { norm_eps: "1e-5" }, "bad_config", /norm_eps/],
  ["lfm2", { tie_embedding: 1 }, "bad_config", /tie_embedding/],
  ["lfm2_moe", { num_dense_layers: -1 }, "bad_config", /num_dense_layers/],
  ["lfm2_moe", { num_experts_per_tok: 33 }, "bad_config", /32 experts, 33 for each token/],
  ["lfm2_moe", { moe_intermediate_size: undefined }, "bad_config", /has no moe_intermediate_size/],
  ["lfm2_moe", { use_expert_bias: "no" }, "bad_config", /use_expert_bias/],
  ["lfm2_moe", { routed_scaling_factor: 0 }, "bad_config", /routed_scaling_factor/],
];

test.each(refusals)("%s refuses %o", async (family, keys, code, message) => {
  await expect(specOf(family, keys)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

test("LFM2-1.2B: ten convolutions, six layers that attend, an MLP of two thirds, tied", async () => {
  const spec = await specOf("lfm2");
  const attending = [...spec.layers.keys()].filter((layer) => !spec.layers[layer]!.convolution);
  expect(attending).toEqual(published.full_attn_idxs);
  expect(spec).toMatchObject({ ffnSize: 8192, headDim: 64, qkNorm: "head", tiedEmbeddings: true });
  const named = await specOf("lfm2", {
    full_attn_idxs: undefined,
    layer_types: spec.layers.map(({ convolution }) => (convolution ? "conv" : "full_attention")),
  });
  expect(named.layers).toEqual(spec.layers);
});

test("the MLP's size is rounded up to a multiple, or taken as it is", async () => {
  const sizeOf = async (keys: RawConfig) => (await specOf("lfm2", keys)).ffnSize;
  // LFM2-350M.
  expect(await sizeOf({ block_ff_dim: 6656 })).toBe(4608);
  expect(await sizeOf({ block_ff_dim: 6656, block_ffn_dim_multiplier: 1.5 })).toBe(6656);
  expect(await sizeOf({ block_ff_dim: 96, block_ffn_dim_multiplier: null })).toBe(64);
  expect(await sizeOf({ block_ff_dim: 6656, block_auto_adjust_ff_dim: false })).toBe(6656);
  expect(await sizeOf({ block_ff_dim: undefined, intermediate_size: 12_288 })).toBe(8192);
  expect((await specOf("lfm2_moe", { block_auto_adjust_ff_dim: true })).ffnSize).toBe(7168);
});

test("a convolution keeps a row of hidden size, whatever keys and values are stored in", async () => {
  const groups = layerGroups(await specOf("lfm2"));
  expect(groups.map(({ window, taps, layers }) => [window, taps, layers.length])).toEqual([
    [3, 3, 10],
    [undefined, undefined, 6],
  ]);
  const bytesIn = (storage: "f32" | "f16") => groups.map((group) => group.tokenBytes(storage));
  expect(bytesIn("f16")).toEqual([8192, 2048]);
  expect(bytesIn("f32")).toEqual([8192, 4096]);
});

test("the first layers of lfm2_moe are dense, the others choose by sigmoids and a bias", async () => {
  const moes = (await specOf("lfm2_moe")).layers.map(({ moe }) => moe?.router);
  const router = { score: "sigmoid", choiceBias: true, renormaliseEps: 1e-6, scale: 1 } as const;
  expect(moes).toEqual([
    ...[undefined, undefined],
    ...Array(2).fill({ experts: 32, chosen: 4, ...router }),
  ]);
  const plain = { use_expert_bias: false, norm_topk_prob: false, num_dense_layers: 0 };
  expect((await specOf("lfm2_moe", plain)).layers[0]!.moe!.router).toEqual({
    ...{ experts: 32, chosen: 4, score: "sigmoid", choiceBias: false, scale: 1 },
  });
});

test("layers that convolve have no weights of attention, and the others none of convolutions", async () => {
  const names = decoderWeights(await specOf("lfm2", { conv_bias: true })).flatMap(({ parts }) =>
    parts.map(({ tensor }) => tensor),
  );
  const of = (layer: number) =>
    names
      .filter((name) => name.startsWith(`model.layers.${layer}.`))
      .map((name) => name.replace(/^model\.layers\.\d+\./, ""))
      .sort();
  const mlp = ["w1", "w2", "w3"].map((name) => `feed_forward.${name}.weight`);
  const norms = ["ffn_norm.weight", "operator_norm.weight"];
  const conv = ["conv", "in_proj", "out_proj"].flatMap((name) => [
    `conv.${name}.bias`,
    `conv.${name}.weight`,
  ]);
  const attention = ["k_layernorm", "k_proj", "out_proj", "q_layernorm", "q_proj", "v_proj"];
  expect(of(0)).toEqual([...conv, ...mlp, ...norms].sort());
  expect(of(2)).toEqual(
    [...attention.map((name) => `self_attn.${name}.weight`), ...mlp, ...norms].sort(),
  );
  expect(names).toContain("model.embedding_norm.weight");
});
