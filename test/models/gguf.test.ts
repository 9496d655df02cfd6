// Models as GGUF files give the logits of the folders they were made of, bit for bit: names, row
// order, types and configuration are all undone. The files are Python gguf's (tools/gguf/make.py).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { renderChat } from "../../index.ts";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import demo from "../fixtures/demo/prompts.json" with { type: "json" };
import goldens from "../fixtures/goldens/index.json" with { type: "json" };
import {
  type ModelFixture,
  modelFile,
  modelFixtures,
  sameTypes,
  sourceFolder,
} from "../runtime/gguf-fixture.ts";
import { expectSame } from "./expect-same.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

const root = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));
const { prompts, endOfTurnId } = demo;
const isDemo = ({ name }: ModelFixture) => name.startsWith("demo");
const isQuantised = ({ name }: ModelFixture) => /-q\d_\d$/.test(name);
const blobModel = async (fixture: ModelFixture): Promise<ModelFolder> =>
  openModelFolder(new Blob([await modelFile(fixture)]));

/** What GGUF has no key for: what llama.cpp knows by name, which the goldens have otherwise. */
const KNOWN_BY_NAME: Readonly<Record<string, object>> = {
  smollm3: { no_rope_layer_interval: 4 },
  gemma2: { query_pre_attn_scalar: 32 },
  gemma3_text: { query_pre_attn_scalar: 32 },
  lfm2_moe: { routed_scaling_factor: 1 },
};
/** Their files have divisors of frequencies in f32: compared with transformers instead. */
const WITH_DIVISORS = ["llama-llama3-f32", "phi3-long-f32"];

describe("goldens", () => {
  const asStored = modelFixtures.filter((fixture) => !isDemo(fixture) && !isQuantised(fixture));
  test.each(asStored.map((fixture) => [fixture.name, fixture] as const))(
    "%s",
    async (name, fixture) => {
      const golden = goldens.fixtures.find(({ folder }) => fixture.source.endsWith(folder))!;
      const fromGguf = await loadTiny(new ReferenceDevice(), await blobModel(fixture), {
        kv: "f32",
      });
      const folder = await sameTypes(fixture, KNOWN_BY_NAME[golden.modelType] ?? {});
      const fromFolder = await loadTiny(new ReferenceDevice(), folder, { kv: "f32" });
      expect(fromGguf.spec.modelType).toBe(golden.modelType);
      const ids = golden.prompts.at(-1)!;
      const logits = await logitsOf(fromGguf, ids);
      expect(logits.every(Number.isFinite)).toBe(true);
      const expected = await logitsOf(fromFolder, ids);
      if (!WITH_DIVISORS.includes(name)) return expectSame(logits, expected);
      const bytes = readFileSync(root + golden.logitsFile);
      const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
      const theirs = all.subarray(all.length - logits.length);
      const errors = logits.map((logit, i) => Math.abs(logit - theirs[i]) / golden.logitStd);
      expect(Math.max(...errors)).toBeLessThanOrEqual(goldens.tolerance.f32.max);
    },
  );
});

// What Weft makes of the folder itself: routers stay as they are, experts are quantised one by one.
test.each([
  ["qwen3-moe-q8_0", "q8"],
  ["qwen3-moe-q4_0", "q4"],
] as const)("%s", async (wanted, quant) => {
  const fixture = modelFixtures.find(({ name }) => name === wanted)!;
  const fromGguf = await loadTiny(new ReferenceDevice(), await blobModel(fixture), { kv: "f32" });
  const path = sourceFolder(fixture);
  const fromFolder = await loadTiny(new ReferenceDevice(), path, { kv: "f32", quant });
  const ids = [1, 100, 7, 64, 3, 130, 99, 12, 31];
  expectSame(await logitsOf(fromGguf, ids), await logitsOf(fromFolder, ids));
});

describe("the demo model", () => {
  const ids = prompts[0].promptTokenIds;

  // Its bf16 is exact in f32, not in f16. Quantised, it is what Weft makes of the folder itself.
  test.each([
    ["demo-f32", (fixture: ModelFixture) => sourceFolder(fixture), undefined],
    ["demo-f16", (fixture: ModelFixture) => sameTypes(fixture, {}), undefined],
    ["demo-q8_0", (fixture: ModelFixture) => sourceFolder(fixture), "q8"],
    ["demo-q4_0", (fixture: ModelFixture) => sourceFolder(fixture), "q4"],
  ] as const)("%s: logits", async (wanted, folderOf, quant) => {
    const fixture = modelFixtures.find(({ name }) => name === wanted)!;
    const fromGguf = await loadTiny(new ReferenceDevice(), await blobModel(fixture), { kv: "f32" });
    const folder = await folderOf(fixture);
    const fromFolder = await loadTiny(new ReferenceDevice(), folder, { kv: "f32", quant });
    expectSame(await logitsOf(fromGguf, ids), await logitsOf(fromFolder, ids));
  });

  test("answers from demo-f16 with transformers' ids", async () => {
    const file = await modelFile(modelFixtures.find(({ name }) => name === "demo-f16")!);
    const engine = await createEngineWith(
      { gpu: async () => undefined, runtime: "test", quantumMs: 50 },
      { device: "reference", model: new Blob([file]), kv: "f32" },
    );
    for (const { messages, tools, enableThinking, ...expected } of prompts.slice(0, 2)) {
      const template = { enable_thinking: enableThinking };
      const prompt = renderChat(engine, { messages, tools, chat_template_kwargs: template });
      expect(prompt).toEqual(expected.promptTokenIds);
      const answer: number[] = [];
      for await (const { tokenIds } of engine.generate({ prompt, maxTokens: 200 })) {
        answer.push(...tokenIds);
      }
      expect(answer.filter((id) => id !== endOfTurnId)).toEqual(expected.tokenIds);
    }
    await engine.close();
  });
});
