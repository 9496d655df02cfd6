// `weft calibrate` as a process, on the reference device, and `weft run` by what it wrote.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyModel } from "./tiny-model.ts";
import { weft } from "./weft.ts";

const MODEL = tinyModel();
const FOLDER = mkdtempSync(join(tmpdir(), "weft-calibrate-"));
afterAll(() => rmSync(FOLDER, { recursive: true }));
const OUT = join(FOLDER, "plans.json");

test("one JSON object, and a file that weft run takes", async () => {
  const tasks = join(FOLDER, "tasks.jsonl");
  writeFileSync(tasks, '{"prompt":"Hi","answer":"x"}\n');
  const args = ["calibrate", "--model", MODEL, "--device", "reference", "--tokens", "16"];
  const files = ["--tasks", tasks, "--max-tokens", "4", "--out", OUT];
  const { status, stdout, stderr } = await weft([...args, ...files, "--json"]);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringMatching(/removals: done/),
  });
  const { model, layers, plans, drafts, influence } = JSON.parse(stdout);
  expect(model).toBe(MODEL);
  for (const plan of plans) {
    expect(plan).toEqual({
      name: expect.any(String),
      lossless: expect.any(Boolean),
      layersExecuted: expect.any(Number),
      kl: expect.any(Number),
      top1Agreement: expect.any(Number),
      taskAccuracy: 0,
      taskInterval: [expect.any(Number), expect.any(Number)],
      decodeTokPerS: expect.any(Number),
      plan: plan.lossless ? null : expect.any(Object),
    });
  }
  expect(plans[0]).toMatchObject({ name: "full", layersExecuted: layers });
  expect(influence).toHaveLength(2 * layers - 1);
  const file = JSON.parse(readFileSync(OUT, "utf8"));
  expect(file).toMatchObject({ version: 1, quant: "none" });
  expect(file.drafts).toHaveLength(drafts.length);

  const run = ["run", "--model", MODEL, "--device", "reference", "--prompt", "Hi", "--json"];
  const by = async (...policy: string[]) => {
    const short = ["--max-tokens", "6", "--temperature", "0"];
    return weft([...run, ...short, ...policy]);
  };
  const [whole, drafted, left, unknown] = await Promise.all([
    by(),
    by("--layer-policy", "self-speculation", "--layer-plans", OUT),
    by("--layer-policy", file.plans[0].name, "--layer-plans", OUT),
    by("--layer-policy", "skip-99", "--layer-plans", OUT),
  ]);
  const [ids, draftedIds] = [whole, drafted].map((ended) => JSON.parse(ended.stdout).tokenIds);
  expect(draftedIds).toEqual(ids);
  const { layersExecuted } = file.plans[0];
  expect(JSON.parse(left.stdout).usage).toMatchObject({ lossy: true, layersExecuted });
  expect({ status: unknown.status, stdout: unknown.stdout }).toEqual({ status: 1, stdout: "" });
  expect(unknown.stderr).toMatch(/plan is "skip-99", this engine knows .*\(bad_request\)/);
}, 60_000);
