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
const blobModel = async (fixture: ModelFixture): Promise<ModelFolder> =>
  openModelFolder(new Blob([await modelFile(fixture)]));

describe("goldens", () => {
  test.each(modelFixtures.filter((fixture) => !isDemo(fixture)).map((f) => [f.name, f] as const))(
    "%s",
    async (name, fixture) => {
      const golden = goldens.fixtures.find(({ folder }) => fixture.source.endsWith(folder))!;
      const fromGguf = await loadTiny(new ReferenceDevice(), await blobModel(fixture), {
        kv: "f32",
      });
      // GGUF has no key for it, and every fourth layer is what SmolLM3 has.
      const folder = await sameTypes(fixture, { no_rope_layer_interval: 4 });
      const fromFolder = await loadTiny(new ReferenceDevice(), folder, { kv: "f32" });
      expect(fromGguf.spec.modelType).toBe(golden.modelType);
      const ids = golden.prompts.at(-1)!;
      const logits = await logitsOf(fromGguf, ids);
      expect(logits.every(Number.isFinite)).toBe(true);
      const expected = await logitsOf(fromFolder, ids);
      if (!name.startsWith("llama-llama3")) return expectSame(logits, expected);
      // GGUF stores the divisors of a llama3 scaling in f32: compared with transformers instead.
      const bytes = readFileSync(root + golden.logitsFile);
      const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
      const theirs = all.subarray(all.length - logits.length);
      const errors = logits.map((logit, i) => Math.abs(logit - theirs[i]) / golden.logitStd);
      expect(Math.max(...errors)).toBeLessThanOrEqual(goldens.tolerance.f32.max);
    },
  );
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
