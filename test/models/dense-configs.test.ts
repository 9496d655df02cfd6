// What the dense families read from config.json, and which configs they refuse and how.

import { expect, test } from "vitest";
import type { RawConfig } from "../../models/config.ts";
import { ModelError } from "../../models/errors.ts";
import { readDecoderSpec } from "../../models/registry.ts";

const sizes = {
  hidden_size: 64,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  vocab_size: 100,
};

const specOf = (model_type: string, keys: RawConfig = {}) =>
  readDecoderSpec({ ...sizes, model_type, ...keys });

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
  ["olmo2", { num_hidden_layers: 0 }, "bad_config", /num_hidden_layers/],
];

test.each(refusals)("%s refuses %o", (family, keys, code, message) => {
  const read = () => specOf(family, keys);
  expect(read).toThrow(ModelError);
  expect(read).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

test("multipliers of 1 multiply nothing", () => {
  const { embeddingScale, residualScale, logitScale, attentionScale } = specOf("granite", {
    logits_scaling: 1,
  });
  expect([embeddingScale, residualScale, logitScale]).toEqual([undefined, undefined, undefined]);
  // Upstream's default, which is not 1 / √headDim.
  expect(attentionScale).toBe(1);
  expect(specOf("granite", { logits_scaling: 8 }).logitScale).toBe(1 / 8);
});
