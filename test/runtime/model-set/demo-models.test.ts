// Both demo models in one engine on the reference device, through the public door.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type EngineApi } from "../../../node.ts";

const shared = { device: "reference", quantumMs: Number.POSITIVE_INFINITY } as const;
const SORT = [{ role: "user", content: "Sort these words: pear, wolf, apple" }];
const small = { maxRows: 4, memoryBudgetBytes: 24e6 };

let engine: EngineApi;
beforeAll(async () => {
  engine = await createEngine({
    ...{ ...shared, memoryBudgetBytes: 30e6 },
    models: { dense: { model: "demo", ...small }, sparse: { model: "demo-moe", ...small } },
  });
});
afterAll(() => engine.close());

const ask = async (model?: string) => {
  const request = { messages: SORT, temperature: 0, model };
  const { choices, model: answered } = await engine.chat.completions.create(request);
  return [answered, choices[0].message.content?.trim()];
};

describe("two models in the memory of one", () => {
  test("each answer when they are named", async () => {
    expect(await ask()).toEqual(["dense", "Sorted: apple, pear, wolf"]);
    expect(await ask("sparse")).toEqual(["sparse", "Sorted: apple, pear, wolf"]);
    const { models } = await engine.metrics();
    expect(models).toMatchObject({
      dense: { state: "unloaded", bytes: 0, loads: 1, evictions: 1 },
      sparse: { state: "ready", loads: 1 },
    });
    expect(models!.sparse.bytes).toBeLessThanOrEqual(24e6);
  });

  test("answer all who ask at once", async () => {
    const names = ["dense", "sparse", "dense", "sparse"];
    const answers = await Promise.all(names.map((name) => ask(name)));
    expect(answers.map(([name]) => name)).toEqual(names);
  });

  test("are listed, the one that is not there too", async () => {
    const { data } = await engine.models.list();
    expect(data.map(({ id, object }) => [id, object])).toEqual([
      ["dense", "model"],
      ["sparse", "model"],
    ]);
    expect(data.map(({ state }) => state).sort()).toEqual(["ready", "unloaded"]);
  });
});

test.each([
  [{ models: {} }, "bad_request"],
  [{ models: { x: { model: undefined as never } } }, "bad_request"],
  [{ models: { x: "demo" }, memoryBudgetBytes: 0 }, "bad_request"],
  [{ models: { x: "demo" }, memoryBudgetBytes: 1e6 }, "memory_budget_too_small"],
  [{ models: { x: "nowhere/at/all" } }, "file_not_found"],
])("%j is refused", async (options, code) => {
  await expect(createEngine({ ...shared, ...options })).rejects.toMatchObject({ code });
});
