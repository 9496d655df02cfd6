// What the dense families read from config.json, and which configs they refuse and how.

import { expect, test } from "vitest";
import type { RawConfig } from "../../models/config.ts";
import { ModelError } from "../../models/errors.ts";
import { readDecoderSpec } from "../../models/registry.ts";

const sizes = {
  hidden_size: 64,
  max_position_embeddings: 512,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  vocab_size: 100,
};

const specOf = (model_type: string, keys: RawConfig = {}) =>
  readDecoderSpec({ ...sizes, model_type, ...keys });

const lists = {
  ...{ type: "longrope", short_factor: Array(16).fill(1) },
  long_factor: Array.from({ length: 16 }, (_, i) => 1 + i),
};

const refusals: readonly (readonly [string, RawConfig, string, RegExp])[] = [
  [
    "granite",
    { embedding_multiplier: 0 },
    "bad_config",
    /has 0 as embedding_multiplier, which must be a positive number/,
  ],
  ["granite", { logits_scaling: "8" }, "bad_config", /logits_scaling/],
  ["granite", { residual_multiplier: -0.22 }, "bad_config", /residual_multiplier/],
  ["granite", { attention_multiplier: 0 }, "bad_config", /attention_multiplier/],
  ["granite", { hidden_size: undefined }, "bad_config", /has no hidden_size/],
  ["gemma2", { attn_logit_softcapping: 0 }, "bad_config", /attn_logit_softcapping/],
  ["gemma2", { final_logit_softcapping: -30 }, "bad_config", /final_logit_softcapping/],
  ["gemma2", { query_pre_attn_scalar: 0 }, "bad_config", /query_pre_attn_scalar/],
  ["gemma2", { hidden_activation: "relu" }, "unsupported_model", /hidden_activation = "relu"/],
  ["gemma2", { use_bidirectional_attention: true }, "unsupported_model", /bidirectional/],
  [
    "gemma2",
    { layer_types: ["sliding_attention"] },
    "bad_config",
    /layer_types, which must be a list of 2, one for each hidden layer/,
  ],
  [
    "gemma3_text",
    { layer_types: ["full_attention", "chunked_attention"] },
    "unsupported_model",
    /layer_types\[1\] = "chunked_attention"/,
  ],
  ["gemma3_text", { attn_logit_softcapping: 50 }, "unsupported_model", /attn_logit_softcapping/],
  ["gemma3_text", { sliding_window_pattern: 0 }, "bad_config", /sliding_window_pattern/],
  ["gemma3_text", { sliding_window: -1 }, "bad_config", /sliding_window/],
  ["gemma3_text", { rope_local_base_freq: 0 }, "bad_config", /rope_local_base_freq/],
  ["gemma3_text", { vocab_size: undefined }, "bad_config", /has no vocab_size/],
  [
    "phi3",
    { rope_scaling: { type: "longrope", short_factor: [1, 2], long_factor: [1, 2] } },
    "bad_config",
    /rope_scaling.short_factor, which must be a list of 16 positive numbers/,
  ],
  [
    "phi3",
    { rope_scaling: { type: "su", short_factor: Array(16).fill(1) } },
    "bad_config",
    /has no rope_scaling.long_factor/,
  ],
  [
    "phi3",
    { original_max_position_embeddings: -1, rope_scaling: lists },
    "bad_config",
    /original_max/,
  ],
  ["phi3", { sliding_window: 0 }, "bad_config", /sliding_window/],
  ["llama", { rope_scaling: { rope_type: "yarn", factor: 0 } }, "bad_config", /factor/],
  ["llama", { rope_scaling: { rope_type: "yarn", truncate: 1 } }, "bad_config", /truncate/],
  ["olmo2", { num_hidden_layers: 0 }, "bad_config", /num_hidden_layers/],
];

test.each(refusals)("%s refuses %o", async (family, keys, code, message) => {
  const error = await specOf(family, keys).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ModelError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
});

test("multipliers of 1 multiply nothing", async () => {
  const { embeddingScale, residualScale, logitScale, attentionScale } = await specOf("granite", {
    logits_scaling: 1,
  });
  expect([embeddingScale, residualScale, logitScale]).toEqual([undefined, undefined, undefined]);
  // Upstream's default, which is not 1 / √headDim.
  expect(attentionScale).toBe(1);
  expect((await specOf("granite", { logits_scaling: 8 })).logitScale).toBe(1 / 8);
});

test("Gemma 2 has caps unless its config has null, and windows on even layers", async () => {
  const spec = await specOf("gemma2");
  expect([spec.attentionCap, spec.logitCap]).toEqual([50, 30]);
  expect(spec.layers.map(({ window }) => window)).toEqual([4096, undefined]);
  const uncapped = await specOf("gemma2", { attn_logit_softcapping: null });
  expect([uncapped.attentionCap, uncapped.logitCap]).toEqual([undefined, 30]);
});

test("embeddings are scaled as upstream does in the checkpoint's type", async () => {
  const scaleOf = async (torch_dtype: string) =>
    (await specOf("gemma2", { hidden_size: 3072, torch_dtype })).embeddingScale;
  expect(await scaleOf("bfloat16")).toBe(55.5);
  expect(await scaleOf("float32")).toBe(Math.sqrt(3072));
  expect(await scaleOf("float16")).toBe(55.4375);
});

test("Gemma 3 rotates five layers of six by a base of their own", async () => {
  const { layers } = await specOf("gemma3_text", {
    ...{ num_hidden_layers: 7, sliding_window: 512 },
    ...{ rope_scaling: { rope_type: "linear", factor: 8 } },
  });
  const [local] = layers;
  expect(local).toMatchObject({ window: 512, rope: { base: 1e4, scaling: { type: "default" } } });
  expect(layers[5]).toMatchObject({ rope: { base: 1e6, scaling: { type: "linear" } } });
  expect(layers[5]!.window).toBeUndefined();
  expect(new Set(layers.map(({ rope }) => rope)).size).toBe(2);
});

test("Phi-3's attention factor grows with the context, unless it is given", async () => {
  const scalingOf = async (keys: RawConfig) =>
    (await specOf("phi3", keys)).layers[0]!.rope!.scaling;
  const long = { max_position_embeddings: 131_072, original_max_position_embeddings: 4096 };
  expect(await scalingOf({ ...long, rope_scaling: lists })).toMatchObject({
    ...{ type: "longrope", originalContext: 4096 },
    attentionFactor: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
  });
  const given = { ...lists, attention_factor: 1.5 };
  expect(await scalingOf({ ...long, rope_scaling: given })).toMatchObject({ attentionFactor: 1.5 });
  const within = { max_position_embeddings: 4096, rope_scaling: lists };
  expect(await scalingOf(within)).toMatchObject({ attentionFactor: 1 });
});

test("YaRN's attention factor follows its factor, or mscale", async () => {
  const factorOf = async (keys: RawConfig) => {
    const rope_scaling = { rope_type: "yarn", factor: 32, ...keys };
    const { scaling } = (await specOf("llama", { rope_scaling })).layers[0]!.rope!;
    return scaling.type === "yarn" ? scaling.attentionFactor : undefined;
  };
  expect(await factorOf({})).toBe(0.1 * Math.log(32) + 1);
  expect(await factorOf({ mscale: 1, mscale_all_dim: 1 })).toBe(1);
  expect(await factorOf({ attention_factor: 0.9 })).toBe(0.9);
});
