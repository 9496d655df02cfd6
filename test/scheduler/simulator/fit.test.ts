// The fit: plans made with known rates give these rates back, whatever their noise and their shape.

import { describe, expect, test } from "vitest";
import {
  fitGpu,
  hardwareProfiles,
  type MeasuredPlan,
  type PlannedRow,
  seededRandom,
} from "../../../scheduler/index.ts";

const model = hardwareProfiles["desktop-1.7b"].model;
const NUM_STAGES = 2 * model.numLayers + 2;
const RATES = { planMs: 4, rowMs: 3, tileMs: 70, attendedMs: 0.005 };
const [GAP_MS, HOST_MS, READBACK_MS] = [1.5, 0.5, 6];

/** Its share of the layers' time is of whole layers, so it does not depend on that of the MLP. */
const row = (from: number, to: number, layers = model.numLayers): PlannedRow => ({
  sequenceId: 1,
  tokens: { from, to },
  stages: { from: 0, to: layers === model.numLayers ? NUM_STAGES : 1 + 2 * layers },
  kind: "compute",
  sample: true,
  blockTables: [],
});

/** Milliseconds of rows through all layers, worked out from what the rates mean. */
function fullMs(rows: readonly PlannedRow[]): number {
  const tokens = rows.reduce((sum, { tokens: { from, to } }) => sum + to - from, 0);
  const matrices = tokens <= 16 ? RATES.rowMs * tokens : RATES.tileMs * Math.ceil(tokens / 32);
  const attended = rows.reduce((sum, { tokens: { from, to } }) => {
    let pairs = 0;
    for (let position = from; position < to; position++) pairs += position + 1;
    return sum + pairs;
  }, 0);
  return matrices + RATES.attendedMs * attended;
}

/** Decoding, prompts, both, and prompts of which a quarter of the layers run. */
function plans(numPlans: number, noise: number): MeasuredPlan[] {
  const random = seededRandom(7);
  const upTo = (most: number) => 1 + Math.floor(most * random());
  const quarter = model.numLayers / 4;
  let readMs = 0;
  return Array.from({ length: numPlans }, (_, i) => {
    const decoding = Array.from({ length: upTo(8) }, () => upTo(900)).map((at) => row(at, at + 1));
    const from = upTo(500);
    const prompt = row(from, from + upTo(200), i % 4 === 3 ? quarter : model.numLayers);
    const rows = [decoding, [prompt], [...decoding, prompt], [...decoding, prompt]][i % 4];
    const ms = i % 4 === 3 ? 0.25 * fullMs(rows) + 0.75 * fullMs(decoding) : fullMs(rows);
    const gpuMs = (RATES.planMs + ms) * (1 + noise * (2 * random() - 1));
    // Every fifth plan finds the GPU idle; the others wait for the one before.
    const isAlone = i % 5 === 0;
    const submittedMs = isAlone ? readMs + 10 : readMs - 5;
    readMs = isAlone ? submittedMs + gpuMs + READBACK_MS : readMs + gpuMs + GAP_MS;
    return { plan: { rows }, plannedMs: submittedMs - HOST_MS, submittedMs, gpuMs, readMs };
  });
}

test("gives back the rates and the delays of plans that follow them", () => {
  const { spread, ...fitted } = fitGpu(plans(200, 0), model);
  const known = { ...RATES, gapMs: GAP_MS, hostMs: HOST_MS, readbackMs: READBACK_MS };
  for (const [name, value] of Object.entries(known))
    expect(fitted[name as keyof typeof known] / value, name).toBeCloseTo(1, 6);
  for (const ratio of spread) expect(ratio).toBeCloseTo(1, 6);
});

describe("of plans that take up to half more or less", () => {
  const noisy = plans(2000, 0.5);
  const fitted = fitGpu(noisy, model);

  test("the rates are near", () => {
    expect(fitted.rowMs).toBeCloseTo(RATES.rowMs, 0);
    expect(fitted.tileMs / RATES.tileMs).toBeCloseTo(1, 1);
    expect(fitted.attendedMs / RATES.attendedMs).toBeCloseTo(1, 1);
  });

  test("the spread is theirs, and 1 in the mean", () => {
    const { spread } = fitted;
    expect(spread.reduce((sum, ratio) => sum + ratio) / spread.length).toBeCloseTo(1, 9);
    expect(spread[0]).toBeCloseTo(0.5, 1);
    expect(spread[spread.length - 1]).toBeCloseTo(1.5, 1);
  });
});

test("refuses plans that tell too little", () => {
  const decoding = plans(400, 0).filter((_, i) => i % 4 === 0);
  expect(() => fitGpu(decoding, model)).toThrow(/no plan of more than 16 tokens was measured/);
  const prompts = plans(400, 0).filter(({ plan: { rows } }) =>
    rows.every(({ tokens: { from, to } }) => to - from > 16),
  );
  expect(() => fitGpu(prompts, model)).toThrow(/no plan of at most 16 tokens was measured/);
  expect(() => fitGpu(plans(39, 0), model)).toThrow(/only 39 plans were measured, .* needs 40/);
});
