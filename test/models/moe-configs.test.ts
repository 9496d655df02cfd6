// What mixtures of experts read from config.json, and which configs they refuse and how.

import { describe, expect, test } from "vitest";
import { checkDecoderShape } from "../../models/blocks.ts";
import type { RawConfig } from "../../models/config.ts";
import { readDecoderSpec } from "../../models/registry.ts";

const sizes = {
  hidden_size: 64,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 4,
  num_key_value_heads: 2,
  vocab_size: 100,
  num_experts: 8,
  num_experts_per_tok: 2,
  moe_intermediate_size: 32,
  shared_expert_intermediate_size: 32,
};

async function specOf(model_type: string, keys: RawConfig = {}) {
  const spec = await readDecoderSpec({ ...sizes, model_type, ...keys });
  checkDecoderShape(spec);
  return spec;
}

const refusals: readonly (readonly [string, RawConfig, string, RegExp])[] = [
  ["qwen3_moe", { num_experts: undefined }, "bad_config", /has no num_experts/],
  ["qwen3_moe", { num_experts_per_tok: 0 }, "bad_config", /num_experts_per_tok/],
  [
    "qwen3_moe",
    { num_experts_per_tok: 9 },
    "bad_config",
    /8 experts, 9 for each token; Weft needs no more experts chosen than there are/,
  ],
  ["qwen3_moe", { num_experts: 2000 }, "bad_config", /at most 64 of 1024 experts/],
  [
    "qwen3_moe",
    { moe_intermediate_size: 40 },
    "bad_shape",
    /expert has 40 columns.*multiple of 32/,
  ],
  ["qwen3_moe", { mlp_only_layers: "1" }, "bad_config", /mlp_only_layers.*list of layer numbers/],
  ["qwen3_moe", { norm_topk_prob: "yes" }, "bad_config", /norm_topk_prob/],
  ["qwen2_moe", { shared_expert_intermediate_size: 33 }, "bad_shape", /shared expert has 33/],
  ["mixtral", { num_local_experts: -1 }, "bad_config", /num_local_experts/],
  ["olmoe", { clip_qkv: 8 }, "unsupported_model", /clip_qkv = 8/],
  ["gpt_oss", { swiglu_limit: 10 }, "unsupported_model", /swiglu_limit = 10/],
  ["gpt_oss", { layer_types: ["full_attention"] }, "bad_config", /layer_types/],
  [
    "deepseek_v2",
    { topk_method: "noaux_tc" },
    "unsupported_model",
    /greedy or group_limited_greedy/,
  ],
  ["deepseek_v2", { norm_topk_prob: true }, "unsupported_model", /norm_topk_prob = true/],
  ["deepseek_v2", { scoring_func: "sigmoid" }, "unsupported_model", /scoring_func = "sigmoid"/],
  ["deepseek_v2", { moe_layer_freq: 2 }, "unsupported_model", /moe_layer_freq = 2/],
  ["deepseek_v2", { attention_bias: true }, "unsupported_model", /attention_bias = true/],
  ["deepseek_v2", { first_k_dense_replace: -1 }, "bad_config", /first_k_dense_replace.*layers/],
  ["deepseek_v2", { kv_lora_rank: 1024 }, "bad_shape", /latent of 1024 dims.*up to 512/],
  ["deepseek_v2", { qk_rope_head_dim: 12 }, "bad_shape", /12 rotated dims.*multiple of 8/],
  ["deepseek_v2", { qk_nope_head_dim: 6 }, "bad_shape", /6 dims.*multiple of 4/],
  ["deepseek_v2", { v_head_dim: 40 }, "bad_shape", /v_head_dim has 80 columns/],
  ["deepseek_v2", { q_lora_rank: 100 }, "bad_shape", /q_lora_rank has 100 columns/],
  ["deepseek_v3", { n_group: 3 }, "bad_config", /256 experts in 3 groups/],
  ["deepseek_v3", { rope_interleave: false }, "unsupported_model", /rope_interleave = false/],
  ["deepseek_v3", { topk_method: "greedy" }, "unsupported_model", /topk_method = "greedy"/],
];

test.each(refusals)("%s with %j", async (type, keys, code, message) => {
  await expect(specOf(type, keys)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

test("which layers have experts", async () => {
  const sparse = async (keys: RawConfig) =>
    (await specOf("qwen3_moe", keys)).layers.map(({ moe }) => moe !== undefined);
  expect(await sparse({})).toEqual([true, true, true, true]);
  expect(await sparse({ decoder_sparse_step: 2 })).toEqual([false, true, false, true]);
  expect(await sparse({ mlp_only_layers: [0, 3] })).toEqual([false, true, true, false]);
  expect(await sparse({ mlp_only_layers: null })).toEqual([true, true, true, true]);
});

test("Qwen renormalises where it is told to, Mixtral and gpt-oss always", async () => {
  const eps = async (type: string, keys: RawConfig = {}) =>
    (await specOf(type, keys)).layers[0]!.moe!.router.renormaliseEps;
  expect(await eps("qwen3_moe")).toBeUndefined();
  expect(await eps("qwen3_moe", { norm_topk_prob: true })).toBe(0);
  expect(await eps("mixtral")).toBe(0);
  expect(await eps("gpt_oss", { num_local_experts: 8 })).toBe(0);
});

describe("DeepSeek", () => {
  const latentOf = async (type: string, keys: RawConfig = {}) =>
    (await specOf(type, keys)).layers[0]!.latent;
  const lastRouter = async (type: string, keys: RawConfig = {}) =>
    (await specOf(type, keys)).layers.at(-1)!.moe!.router;

  test("a config without a key means what transformers means by it", async () => {
    expect(await latentOf("deepseek_v2")).toEqual({
      ...{ rank: 512, ropeDims: 64, nopeDims: 128, valueDims: 128, queryRank: 1536, normEps: 1e-6 },
    });
    expect(await latentOf("deepseek_v2", { q_lora_rank: null })).not.toHaveProperty("queryRank");
    expect((await specOf("deepseek_v2")).layers.map(({ moe }) => moe !== undefined)).toEqual([
      ...[true, true, true, true],
    ]);
    expect((await specOf("deepseek_v3")).layers.map(({ moe }) => moe !== undefined)).toEqual([
      ...[false, false, false, true],
    ]);
  });

  test("the norms of latents have an eps of their own", async () => {
    expect((await latentOf("deepseek_v3", { rms_norm_eps: 1e-2 }))!.normEps).toBe(1e-6);
    expect((await specOf("deepseek_v3", { rms_norm_eps: 1e-2 })).normEps).toBe(1e-2);
  });

  test("V2 chooses by softmax, V3 by sigmoid and bias; one group is none", async () => {
    const groups = { n_group: 4, topk_group: 2 };
    expect(await lastRouter("deepseek_v2", { ...groups, n_routed_experts: 64 })).toEqual({
      ...{ experts: 64, chosen: 2, score: "softmax", choiceBias: false, scale: 1 },
    });
    const limited = { ...groups, topk_method: "group_limited_greedy", routed_scaling_factor: 16 };
    expect(await lastRouter("deepseek_v2", limited)).toMatchObject({
      ...{ scale: 16, groups: { count: 4, kept: 2, stat: "max" } },
    });
    expect(await lastRouter("deepseek_v3")).toEqual({
      ...{ experts: 256, chosen: 2, score: "sigmoid", choiceBias: true, scale: 2.5 },
      ...{ renormaliseEps: 1e-20, groups: { count: 8, kept: 4, stat: "top2sum" } },
    });
    expect((await lastRouter("deepseek_v3", { n_group: 1, topk_group: 1 })).groups).toBeUndefined();
    expect(
      (await lastRouter("deepseek_v3", { norm_topk_prob: false })).renormaliseEps,
    ).toBeUndefined();
  });

  test("YaRN scales scores by mscale², and cosines by the ratio of both", async () => {
    const yarn = { type: "yarn", factor: 40, original_max_position_embeddings: 4096 };
    const growth = (mscale: number) => 0.1 * mscale * Math.log(40) + 1;
    const spec = await specOf("deepseek_v2", {
      rope_scaling: { ...yarn, mscale: 1, mscale_all_dim: 0.5 },
    });
    expect(spec.attentionScale! * Math.sqrt(192)).toBeCloseTo(growth(0.5) ** 2, 12);
    const scaling = spec.layers[0]!.rope!.scaling as { attentionFactor: number };
    expect(scaling.attentionFactor).toBeCloseTo(growth(1) / growth(0.5), 12);
    expect((await specOf("deepseek_v2", { rope_scaling: yarn })).attentionScale).toBe(
      1 / Math.sqrt(192),
    );
  });

  test("shared experts are one MLP", async () => {
    const { layers } = await specOf("deepseek_v3", { n_shared_experts: 3 });
    expect(layers[3]!.moe!.shared).toEqual({ ffnSize: 96, gated: false });
  });
});
