// Which tokens survive top-k, top-p and min-p, against a sort in float64: every setting, two
// vocabularies, flat and peaked logits, cold to hot.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normal, seededRandom } from "../../kernels/probe.ts";
import { PLAIN, type SamplingSettings } from "../../kernels/sample-settings.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { SampleStep } from "./sample-step.ts";

const SETTINGS: readonly Partial<SamplingSettings>[] = [
  {},
  { topK: 1 },
  { topK: 50 },
  { topK: 900 },
  { topK: 10_000 },
  { topP: 0.05 },
  { topP: 0.5 },
  { topP: 0.9 },
  { topP: 0.999 },
  { minP: 0.02 },
  { minP: 0.7 },
  { topK: 300, topP: 0.8 },
  { topP: 0.95, minP: 0.01 },
  { topK: 700, topP: 0.9, minP: 0.005 },
];
const TEMPERATURES = [0.2, 0.7, 1, 3];
const VOCABULARIES = [1024, 151_936];
const SHAPES = {
  flat: (V: number) => normal(V, seededRandom(11), 0.3),
  // A wide spread and a few tokens far above it, as a model that is nearly sure.
  peaked: (V: number) => {
    const logits = normal(V, seededRandom(12), 3);
    for (let i = 0; i < 8; i++) logits[(i * 7919) % V] = 16 - i;
    return logits;
  },
};
/** Mass, score and probability ratio may be this far from a filter's border. */
const MARGIN = 1e-6;

interface Row {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Float64 candidates of sorted logits, and which other counts rounding could explain. */
function candidates(sorted: Float64Array, { temperature, topK, topP, minP }: Row) {
  const weight = (i: number) => Math.exp((sorted[i]! - sorted[0]!) / temperature);
  const kept = topK > 0 ? Math.min(topK, sorted.length) : sorted.length;
  let mass = 0;
  for (let i = 0; i < kept; i++) mass += weight(i);
  const wanted = topP < 1 ? topP * mass : Number.POSITIVE_INFINITY;
  let above = 0;
  let count = 0;
  while (count < kept && above < wanted && weight(count) >= minP) above += weight(count++);
  // Whether token i, counted from the top, lies on a border within rounding.
  const onBorder = (i: number) => {
    let massAbove = 0;
    for (let j = 0; j < i; j++) massAbove += weight(j);
    const tie = i >= kept && Math.abs(sorted[i]! / sorted[kept - 1]! - 1) <= MARGIN;
    const nucleus = topP < 1 && Math.abs(massAbove / mass - topP) <= MARGIN;
    return tie || nucleus || Math.abs(weight(i) - minP) <= MARGIN * minP;
  };
  return {
    count,
    allows(got: number): boolean {
      const [low, high] = [Math.min(got, count), Math.max(got, count)];
      if (low < 1 || high > sorted.length) return false;
      for (let i = low; i < high; i++) if (!onBorder(i)) return false;
      return true;
    },
  };
}

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

describe.each(VOCABULARIES)("vocabulary %i", (V) => {
  test.each(Object.entries(SHAPES))("%s logits", async (shape, fill) => {
    const logits = fill(V);
    const sorted = Float64Array.from(logits).sort().reverse();
    const step = await SampleStep.create(device, SETTINGS.length, V);
    for (let r = 0; r < SETTINGS.length; r++) step.write("logits", logits, r * V);
    const gate = project() === "lavapipe" ? 2 : 1;
    const temperatures = V > 1024 ? scale("sampling", gate, 4) : 4;
    let exact = 0;
    let largest = 0;
    for (const temperature of TEMPERATURES.slice(-temperatures)) {
      const rows = SETTINGS.map((settings, r) => ({
        ...PLAIN,
        ...settings,
        temperature,
        seed: 99n,
        position: r,
      }));
      const picks = await step.sample(rows);
      for (const [r, row] of rows.entries()) {
        const expected = candidates(sorted, row);
        const { id, numCandidates } = picks[r]!;
        const label = `${JSON.stringify(SETTINGS[r])} at ${temperature}, ${expected.count}`;
        expect(expected.allows(numCandidates), `${label}: got ${numCandidates}`).toBe(true);
        expect(logits[id], label).toBeGreaterThanOrEqual(Math.fround(sorted[numCandidates - 1]!));
        if (numCandidates === expected.count) exact += 1;
        largest = Math.max(largest, row.topP < 1 ? numCandidates : 0);
      }
    }
    const cases = temperatures * SETTINGS.length;
    report("sampling", { V, shape, cases, exact, largestNucleus: largest });
    // Rounding may move a border now and then; nuclei must be far above any fixed bound.
    expect(exact).toBeGreaterThanOrEqual(0.95 * cases);
    expect(largest).toBeGreaterThan(shape === "flat" ? V / 2 : 64);
    step.destroy();
  });
});

test("a border that is off is seen", () => {
  const sorted = Float64Array.from(SHAPES.flat(1024)).sort().reverse();
  for (const settings of SETTINGS) {
    const row = { ...PLAIN, ...settings, temperature: 1 };
    const expected = candidates(sorted, row);
    expect(expected.allows(expected.count)).toBe(true);
    expect(expected.allows(expected.count + 1)).toBe(false);
    expect(expected.allows(expected.count - 1)).toBe(false);
  }
});

test("tokens that tie with the last one stay", async () => {
  const step = await SampleStep.create(device, 3, 1024);
  const logits = new Float32Array(1024).map((_, i) => (i % 4 === 0 ? 2 : i % 4 === 1 ? 1 : -1));
  for (let r = 0; r < 3; r++) step.write("logits", logits, r * 1024);
  const row = { ...PLAIN, temperature: 1 };
  const picks = await step.sample([
    { ...row, topK: 10 },
    { ...row, topK: 300 },
    { ...row, topP: 0.1 },
  ]);
  expect(picks.map(({ numCandidates }) => numCandidates)).toEqual([256, 512, 256]);
  step.destroy();
});
