// Trained routers of the demo model's layers: by the path that PyTorch's routers decide for a prompt, the
// answer is PyTorch's.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { ask } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { opener, type Subject } from "./subject.ts";

interface Prompt {
  readonly name: string;
  readonly promptTokenIds: readonly number[];
  /** How often each layer runs. */
  readonly runs: readonly number[];
  readonly tokenIds: readonly number[];
}

const root = fileURLToPath(new URL("../fixtures/demo-routers/", import.meta.url));
const { prompts } = JSON.parse(readFileSync(`${root}prompts.json`, "utf8")) as {
  prompts: Prompt[];
};
// The story is the longest by far; its path is another prompt's too.
const asked = prompts.filter(({ name }) => name !== "story");

let subject: Subject;
beforeAll(async () => {
  const open = opener({ platform: nodePlatform, folder: demoFolder(), device: "reference" });
  subject = await open({ layerRouters: localFolder(root), kv: "f32" });
}, 60_000);
afterAll(() => subject?.engine.close());

test("prompts take different paths", () => {
  expect(new Set(asked.map(({ runs }) => String(runs))).size).toBeGreaterThan(5);
});

test.each(asked.map((prompt) => [prompt.name, prompt] as const))(
  "%s",
  async (_, prompt) => {
    const { promptTokenIds, runs, tokenIds } = prompt;
    const { ids, usage } = await ask(subject.door, {
      prompt: promptTokenIds,
      maxTokens: 60,
      temperature: 0,
      layerPolicy: { name: "routers" },
    });
    expect(usage?.layersExecuted).toBe(runs.reduce((sum, times) => sum + times, 0));
    expect(ids.slice(0, tokenIds.length)).toEqual(tokenIds);
  },
  60_000,
);
