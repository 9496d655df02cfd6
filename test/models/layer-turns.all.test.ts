// Tokens that leave layers out by turns, against float64 transformers (docs/goldens.md): two sequences step
// by step beside each other, one that fills in keys and values and one that leaves holes.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layerGroups, numStages } from "../../models/decoder.ts";
import type { LayerPlanSpec } from "../../models/layer-plan.ts";
import { type TokenCache, tokenPlan } from "../../models/token-plan.ts";
import { bytesToFloats, type Device } from "../../runtime/device.ts";
import type { ModelRunner } from "../../runtime/model-runner.ts";
import type { StepRow } from "../../runtime/step-inputs.ts";
import { AlternatingTokens } from "../../scheduler/alternating-tokens.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { loadTiny } from "./sequence-runner.ts";

interface Turns {
  readonly folder: string;
  readonly plan: LayerPlanSpec;
  readonly cache: TokenCache;
  readonly period: number;
  readonly promptTokens: number;
  readonly ids: readonly number[];
  readonly logitStd: number;
  readonly logitsFile: string;
}

const root = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));
const cases = JSON.parse(readFileSync(`${root}layer-turns.json`, "utf8")) as Turns[];
const { tolerance } = JSON.parse(readFileSync(`${root}index.json`, "utf8")) as {
  tolerance: { f32: { max: number } };
};
const all = [...new Set(cases.map(({ folder }) => folder))];
// Experts take nothing of whose turn it is: once is enough for them.
const folders = project() === "reference" ? all : all.slice(0, 1);

/** Of one sequence: its tokens run by run, those alike together. */
function rowsOf({ spec }: ModelRunner, of: Turns, sequence: number): StepRow[] {
  const groups = layerGroups(spec);
  const layerPlan = tokenPlan(spec, groups, of.plan, of.cache);
  const turns = new AlternatingTokens(of.promptTokens, { layerPlan, period: of.period });
  const blocks = [0, 1].map((i) => 1 + 2 * sequence + i);
  const rows: StepRow[] = [];
  for (let from = 0, to: number; from < of.ids.length; from = to) {
    to = Math.min(of.ids.length, turns.endOfRun(from));
    const planned = {
      sequenceId: sequence,
      tokens: { from, to },
      stages: { from: 0, to: numStages(spec) },
      ...({ kind: "compute", sample: true } as const),
      blockTables: groups.map(() => blocks),
      places: groups.map((_, group) => turns.place(group, from)),
      ...(turns.runsLess(from) && { layerPlan }),
    };
    rows.push({ planned, ids: of.ids, slot: sequence });
  }
  return rows;
}

/** Every logit of each sequence, both in the same steps for as long as both go on. */
async function logitsOf(runner: ModelRunner, sequences: readonly Turns[]) {
  const { device, spec } = runner;
  const rows = sequences.map((of, i) => rowsOf(runner, of, i));
  const logits = sequences.map((): number[] => []);
  for (let step = 0; step < Math.max(...rows.map(({ length }) => length)); step++) {
    const running = sequences.flatMap((_, i) => (rows[i][step] ? [i] : []));
    const counts = running.map((i) => {
      const { from, to } = rows[i][step].planned.tokens;
      return to - from;
    });
    const numTokens = counts.reduce((sum, count) => sum + count, 0);
    const logitRows = Array.from({ length: numTokens }, (_, i) => i);
    await runner.record(
      running.map((i) => rows[i][step]),
      { logitRows },
    );
    const bytes = device.readback({ ...runner.logits, sizeBytes: 4 * numTokens * spec.vocabSize });
    device.submit();
    const floats = bytesToFloats(await bytes);
    let at = 0;
    running.forEach((i, r) => {
      logits[i].push(...floats.subarray(at, at + counts[r] * spec.vocabSize));
      at += counts[r] * spec.vocabSize;
    });
  }
  return logits;
}

function golden({ logitsFile }: Turns): Float32Array {
  const bytes = readFileSync(root + logitsFile);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
}

// What is new to a driver here are no kernels, but rows of steps.
const WHERE = "not on SwiftShader: no kernel is new";
describe.skipIf(project() === "swiftshader").each(folders)(`%s (${WHERE})`, (folder) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice("full");
  });
  afterAll(() => device.destroy());

  test("logits", async () => {
    const sequences = cases.filter((of) => of.folder === folder);
    expect(sequences.map(({ cache }) => cache)).toEqual(["fill", "hole"]);
    const layerPlans = sequences.map(({ plan }) => plan);
    const runner = await loadTiny(device, root + folder, { kv: "f32", layerPlans });
    const logits = await logitsOf(runner, sequences);
    sequences.forEach((of, i) => {
      const expected = golden(of);
      expect(logits[i]).toHaveLength(expected.length);
      const errors = logits[i].map((logit, at) => Math.abs(logit - expected[at]) / of.logitStd);
      expect(Math.max(...errors), of.cache).toBeLessThanOrEqual(tolerance.f32.max);
    });
  }, 120_000);
});
