// The kernel alone draws what it should: chi-square of many draws against float64 probabilities.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normal, seededRandom } from "../../kernels/probe.ts";
import { PLAIN, type SamplingSettings } from "../../kernels/sample-settings.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { chiSquare, gammaUpper } from "./sample-chi-square.ts";
import { SampleStep } from "./sample-step.ts";

const LEAST_P = 1e-5;
const flat = (V: number) => normal(V, seededRandom(21), 0.5);
const peaked = (V: number) => normal(V, seededRandom(22), 3);

/** The first three run in the gate. */
const SETTINGS: readonly (readonly [Partial<SamplingSettings>, (V: number) => Float32Array])[] = [
  [{ temperature: 1 }, peaked],
  [{ temperature: 1.5, topP: 0.95 }, peaked],
  [{ temperature: 0.7, topK: 100, minP: 0.1 }, flat],
  [{ temperature: 3 }, peaked],
  [{ temperature: 1 }, flat],
  [{ temperature: 0.2, topK: 400 }, flat],
  [{ temperature: 1, topP: 0.8 }, flat],
  [{ temperature: 3, topK: 500, topP: 0.9 }, peaked],
];

/** Float64 probabilities, of any scale, of what survives top-k, top-p and min-p. */
function weightsOf(logits: Float32Array, settings: SamplingSettings): Float64Array {
  const { temperature, topK, topP, minP } = settings;
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]!);
  const weight = (i: number) => Math.exp((logits[i]! - logits[order[0]!]!) / temperature);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const mass = kept.reduce((sum, i) => sum + weight(i), 0);
  const weights = new Float64Array(logits.length);
  let above = 0;
  for (const i of kept) {
    if ((topP < 1 && above >= topP * mass) || weight(i) < minP) break;
    weights[i] = weight(i);
    above += weights[i]!;
  }
  return weights;
}

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

async function draw(logits: Float32Array, settings: SamplingSettings, draws: number) {
  const V = logits.length;
  const R = V > 1024 ? 16 : 250;
  const step = await SampleStep.create(device, R, V);
  for (let r = 0; r < R; r++) step.write("logits", logits, r * V);
  const counts = new Uint32Array(V);
  for (let done = 0; done < draws; done += R) {
    // Requests of 100 tokens: both the seed and the position move.
    const rows = Array.from({ length: Math.min(R, draws - done) }, (_, r) => ({
      ...settings,
      seed: 1_000n + BigInt(Math.floor((done + r) / 100)),
      position: (done + r) % 100,
    }));
    for (const { id } of await step.sample(rows)) counts[id]! += 1;
  }
  step.destroy();
  return counts;
}

const cases = SETTINGS.map(([settings, fill]) => ({ ...PLAIN, ...settings, fill }));
const label = ({ fill, temperature, topK, topP, minP }: (typeof cases)[number]) =>
  `${fill.name}, temperature ${temperature}, top-k ${topK}, top-p ${topP}, min-p ${minP}`;

describe("draws at vocabulary 1,024", () => {
  const draws = scale("sampling", project() === "lavapipe" ? 4000 : 1000, 20_000);
  const running = cases.slice(0, scale("sampling", 3, cases.length));
  test.each(running.map((row) => [label(row), row] as const))("%s", async (name, row) => {
    const logits = row.fill(1024);
    const counts = await draw(logits, row, draws);
    const weights = weightsOf(logits, row);
    const { pValue, ...rest } = chiSquare(counts, weights);
    report("sampling", { V: 1024, setting: name, draws, pValue, ...rest });
    expect(pValue).toBeGreaterThan(LEAST_P);
    expect(counts.every((count, i) => count === 0 || weights[i]! > 0)).toBe(true);
    // A sampler that favours even ids threefold would give these draws a p-value far below.
    const biased = weights.map((weight, i) => (i % 2 === 0 ? 3 * weight : weight));
    expect(chiSquare(counts, biased).pValue).toBeLessThan(LEAST_P);
  });
});

describe("draws at vocabulary 151,936", () => {
  const draws = scale("sampling", 0, 2000);
  // The other draws show that SwiftShader computes the same; these would take it hours.
  const skipped = draws === 0 || project() === "swiftshader";
  test.skipIf(skipped).each(cases.map((row) => [label(row), row] as const))(
    "%s (soak on lavapipe and the reference only: minutes)",
    async (name, row) => {
      const logits = row.fill(151_936);
      const counts = await draw(logits, row, draws);
      const weights = weightsOf(logits, row);
      const { pValue, ...rest } = chiSquare(counts, weights);
      report("sampling", { V: 151_936, setting: name, draws, pValue, ...rest });
      expect(pValue).toBeGreaterThan(LEAST_P);
    },
  );
});

test("the chi-square distribution has its tabulated tails", () => {
  for (const [x, degrees, p] of [
    [18.307, 10, 0.05],
    [124.342, 100, 0.05],
    [29.588, 10, 0.001],
    [3.94, 10, 0.95],
    [1074.679, 1000, 0.05],
  ] as const) {
    expect(gammaUpper(degrees / 2, x / 2)).toBeCloseTo(p, 4);
  }
});
