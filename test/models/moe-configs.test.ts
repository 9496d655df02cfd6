// What mixtures of experts read from config.json, and which configs they refuse and how.

import { expect, test } from "vitest";
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

function specOf(model_type: string, keys: RawConfig = {}) {
  const spec = readDecoderSpec({ ...sizes, model_type, ...keys });
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
];

test.each(refusals)("%s with %j", (type, keys, code, message) => {
  expect(() => specOf(type, keys)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

test("which layers have experts", () => {
  const sparse = (keys: RawConfig) =>
    specOf("qwen3_moe", keys).layers.map(({ moe }) => moe !== undefined);
  expect(sparse({})).toEqual([true, true, true, true]);
  expect(sparse({ decoder_sparse_step: 2 })).toEqual([false, true, false, true]);
  expect(sparse({ mlp_only_layers: [0, 3] })).toEqual([false, true, true, false]);
  expect(sparse({ mlp_only_layers: null })).toEqual([true, true, true, true]);
});

test("Qwen renormalises where it is told to, Mixtral and gpt-oss always", () => {
  const eps = (type: string, keys: RawConfig = {}) =>
    specOf(type, keys).layers[0]!.moe!.router.renormaliseEps;
  expect(eps("qwen3_moe")).toBeUndefined();
  expect(eps("qwen3_moe", { norm_topk_prob: true })).toBe(0);
  expect(eps("mixtral")).toBe(0);
  expect(eps("gpt_oss", { num_local_experts: 8 })).toBe(0);
});
