// Layer policies from the command line: every command that makes requests makes them by one.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { routersFile } from "../engine/router-folder.ts";
import { tinyModel } from "./tiny-model.ts";
import { weft, weftJson } from "./weft.ts";

const MODEL = tinyModel();
const HIDDEN_SIZE = 64;
const ON_REFERENCE = ["--model", MODEL, "--device", "reference"];
const SHORT = ["--max-tokens", "8", "--temperature", "30", "--seed", "3"];

const ROUTERS = mkdtempSync(join(tmpdir(), "weft-routers-"));
afterAll(() => rmSync(ROUTERS, { recursive: true }));
/** The first layer is run, the second skipped. */
const decisions = { weights: 0, biases: [[0, 1, 0] as const, [1, 0, 0] as const] };
writeFileSync(join(ROUTERS, "model.safetensors"), routersFile(decisions, HIDDEN_SIZE));

const BY_PLAN = ["--layer-plan", '{"skip":[1]}'];
const BY_ROUTERS = ["--layer-policy", "routers", "--layer-routers", ROUTERS];

const run = (...policy: string[]) =>
  weftJson(["run", ...ON_REFERENCE, ...SHORT, "--prompt", "Hi Hi", "--chat", ...policy]);
const chat = (...policy: string[]) =>
  weft(["chat", ...ON_REFERENCE, ...SHORT, ...policy], { input: "Hi Hi\n" });

test("run and chat answer by a plan and by routers", async () => {
  const [whole, planned, routed] = await Promise.all([run(), run(...BY_PLAN), run(...BY_ROUTERS)]);
  expect(planned.usage).toMatchObject({ lossy: true, layersExecuted: 1 });
  expect(planned.tokenIds).not.toEqual(whole.tokenIds);
  expect(routed.usage).toMatchObject({ lossy: true, layersExecuted: 1 });
  expect(routed.tokenIds).toEqual(planned.tokenIds);

  const said = await Promise.all([chat(...BY_PLAN), chat(...BY_ROUTERS)]);
  const answer = { status: 0, stdout: `${planned.text}\n`, stderr: "" };
  expect(said).toEqual([answer, answer]);
  expect(planned.text).not.toBe(whole.text);
});

test("run answers by tokens that leave off where they are sure, or by turns", async () => {
  // Of two layers there is one exit, before the second; of random weights no token is sure.
  const [whole, sure, turns] = await Promise.all([
    run(),
    run("--layer-policy", "early-exit"),
    run("--layer-policy", "temporal", ...BY_PLAN),
  ]);
  // Of eight tokens the prompt samples one, and seven rows behind it: two of these run both layers.
  expect(turns.usage).toMatchObject({ lossy: true, layersExecuted: (2 * 2 + 5) / 7 });
  expect(sure.usage).toMatchObject({ lossy: true });
  expect(sure.usage.layersExecuted).toBeLessThanOrEqual(2);
  expect(sure.usage.layersExecuted).toBeGreaterThan(1);
  expect(whole.usage.layersExecuted).toBeUndefined();
});

test("bench serve asks by it, and says so", async () => {
  const bench = ["bench", "serve", ...ON_REFERENCE, "--requests", "4", "--longest", "24"];
  const [served, unknown] = await Promise.all([
    weftJson([...bench, "--concurrency", "2", ...BY_ROUTERS]),
    weft([...bench, "--concurrency", "2", "--layer-policy", "skip-99"]),
  ]);
  expect(served.layerPolicy).toEqual({ name: "routers" });
  expect(served.runs).toHaveLength(1);
  expect({ status: unknown.status, stdout: unknown.stdout }).toEqual({ status: 1, stdout: "" });
  expect(unknown.stderr).toMatch(/plan is "skip-99".*\(bad_request\)/);
});
