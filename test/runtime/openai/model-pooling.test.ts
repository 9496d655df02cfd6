// How a model pools where the request does not say, by 1_Pooling/config.json as sentence-transformers writes it.

import { expect, test } from "vitest";
import { modelPooling } from "../../../runtime/openai/model-pooling.ts";

/** All of them are in the file, and those that hold are true. */
const config = (...holding: string[]) =>
  Object.fromEntries(
    ["cls_token", "mean_tokens", "max_tokens", "weightedmean_tokens", "lasttoken"].map((mode) => [
      `pooling_mode_${mode}`,
      holding.includes(mode),
    ]),
  );

test.each([
  [{}, "last"],
  [config("mean_tokens"), "mean"],
  [config("cls_token"), "cls"],
  [config("lasttoken"), "last"],
])("%j: %s", (given, pooling) => {
  expect(modelPooling({ word_embedding_dimension: 384, ...given })).toBe(pooling);
});

test.each([
  [config("max_tokens"), /pooling_mode_max_tokens/],
  [config("weightedmean_tokens"), /weightedmean/],
  [config("mean_tokens", "cls_token"), /cls_token, pooling_mode_mean_tokens/],
])("%j is refused by name, not pooled in another way", (given, message) => {
  expect(() => modelPooling(given)).toThrow(message);
  expect(() => modelPooling(given)).toThrow(/name one/);
});
