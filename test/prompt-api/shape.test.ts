/// <reference types="dom-chromium-ai" />
// The class beside the interface that browsers have: pages may take the one for the other.

import { expect, expectTypeOf, test } from "vitest";
import { LocalLanguageModel, type LocalLanguageModelOptions } from "../../prompt-api.ts";

/** Its names of before, which went, and those that only extensions have. */
type Deprecated = "measureInputUsage" | "inputUsage" | "inputQuota" | "onquotaoverflow";
/** Ours may lack a value; listeners hear of the same event. */
type Differing = "topK" | "temperature" | "clone" | keyof EventTarget | "oncontextoverflow";

test("a session is one of the browser's", () => {
  expectTypeOf<LocalLanguageModel>().toExtend<Omit<LanguageModel, Deprecated | Differing>>();
  expectTypeOf<LanguageModelCreateOptions["initialPrompts"]>().toExtend<
    LocalLanguageModelOptions["initialPrompts"]
  >();
  expectTypeOf<LanguageModelPrompt>().toExtend<Parameters<LocalLanguageModel["prompt"]>[0]>();
  expectTypeOf<LanguageModelPromptOptions>().toExtend<
    NonNullable<Parameters<LocalLanguageModel["prompt"]>[1]>
  >();
  expectTypeOf(LocalLanguageModel.availability).returns.toEqualTypeOf<Promise<Availability>>();
});

test("the browser's own is left alone", () => {
  expect("LanguageModel" in globalThis).toBe(false);
});
