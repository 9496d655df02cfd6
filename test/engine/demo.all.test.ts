// The demo models, dense and sparse, answer their ten named prompts right, with the very ids of PyTorch
// (tools/demo-model/fixtures.py): chat template, tokenizer, scheduler, kernels and sampler at once.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../index.ts";
import { renderChat } from "../../index.ts";
import { createEngineWith } from "../../runtime/create-engine.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { POOLINGS, type Pooling } from "../../runtime/pooling.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { type DemoCheck, isRight } from "./demo-checker.ts";

interface DemoPrompt {
  readonly name: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools?: readonly object[];
  readonly enableThinking: boolean;
  readonly check: DemoCheck;
  readonly promptTokenIds: readonly number[];
  readonly tokenIds: readonly number[];
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** SwiftShader takes a tenth of a second per token. */
const isTested = ({ name }: DemoPrompt) => project() !== "swiftshader" || /^sort/.test(name);

describe.each(["demo", "demo-moe"])("the model %s", (model) => {
  const { prompts, endOfTurnId } = JSON.parse(
    readFileSync(path(`../fixtures/${model}/prompts.json`), "utf8"),
  ) as { prompts: DemoPrompt[]; endOfTurnId: number };
  let engine: Engine;
  beforeAll(async () => {
    const platform = { gpu: async () => undefined, runtime: "test", quantumMs: 50 };
    const device = await openDevice();
    engine = await createEngineWith(platform, {
      device,
      model: localFolder(path(`../../assets/${model}`)),
      kv: "f32",
    });
  }, 180_000);
  afterAll(() => engine.close());

  test.each(prompts.filter(isTested).map((prompt) => [prompt.name, prompt] as const))(
    "%s",
    async (_, { messages, tools, enableThinking, check, promptTokenIds, tokenIds }) => {
      const request = {
        messages,
        tools,
        chat_template_kwargs: { enable_thinking: enableThinking },
      };
      const prompt = renderChat(engine, request);
      expect(prompt).toEqual(promptTokenIds);
      const ids: number[] = [];
      let text = "";
      for await (const chunk of engine.generate({ prompt, maxTokens: 200 })) {
        ids.push(...chunk.tokenIds);
        text += chunk.text;
      }
      expect(ids.filter((id) => id !== endOfTurnId)).toEqual(tokenIds);
      expect(isRight(check, text), text).toBe(true);
    },
  );

  if (model !== "demo") return;

  // tools/goldens/embeddings.py
  test("embeds texts as transformers does", async () => {
    const golden = JSON.parse(readFileSync(path("../fixtures/demo/embeddings.json"), "utf8")) as {
      text: string;
      numTokens: number;
      pooled: Record<Pooling, number[]>;
    }[];
    if (project() === "swiftshader") golden.length = 1;
    const input = golden.map(({ text }) => text);
    for (const pooling of POOLINGS) {
      const request = { input, pooling, normalize: false };
      const { data, usage } = await engine.embeddings.create(request);
      expect(usage.prompt_tokens).toBe(golden.reduce((sum, { numTokens }) => sum + numTokens, 0));
      for (const { index, embedding } of data) {
        const want = golden[index].pooled[pooling];
        const spread = Math.hypot(...want) / Math.sqrt(want.length);
        for (const [i, value] of want.entries()) {
          expect(Math.abs(embedding[i] - value)).toBeLessThan(1e-4 * spread);
        }
      }
    }
  });
});

test("a wrong answer is told from a right one", () => {
  expect(isRight({ exact: "1 + 1 = 2" }, "<think>\n1\n</think>\n\n1 + 1 = 2")).toBe(true);
  expect(isRight({ exact: "1 + 1 = 2" }, "1 + 1 = 3")).toBe(false);
  expect(isRight({ json: { a: 1, b: "x" } }, '{"b": "x", "a": 1}')).toBe(true);
  expect(isRight({ json: { a: 1 } }, '{"a": 1')).toBe(false);
  const toolCall = { name: "f", arguments: { city: "Rome" } };
  const call = '<tool_call>\n{"name": "f", "arguments": {"city": "Rome"}}\n</tool_call>';
  expect(isRight({ toolCall }, call)).toBe(true);
  expect(isRight({ toolCall }, call.replace("Rome", "Oslo"))).toBe(false);
  expect(isRight({ mention: ["Eva"], minSentences: 2 }, "Eva ran. Eva slept.")).toBe(true);
  expect(isRight({ mention: ["Eva"], minSentences: 3 }, "Eva ran. Eva slept.")).toBe(false);
});
