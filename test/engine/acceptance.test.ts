// Which drafts stand never changes what an answer is drawn from: by chi-square of many rounds, greedy or
// not, whose drafts come of another distribution than the tokens that they guess.

import { afterAll, beforeAll, expect, test } from "vitest";
import { normal, seededRandom } from "../../kernels/probe.ts";
import { PLAIN, type SamplingSettings } from "../../kernels/sample-settings.ts";
import type { Device } from "../../runtime/device.ts";
import { type RowSamples, standing } from "../../runtime/row-samples.ts";
import { openDevice } from "../harness/device.ts";
import { report, scale } from "../harness/soak.ts";
import { chiSquare } from "../kernels/sample-chi-square.ts";
import { SampleStep } from "../kernels/sample-step.ts";

const LEAST_P = 1e-5;
const NUM_ROUNDS = scale("speculation", 4000, 20_000);
const V = 16;
const ROWS = 250;
const START = V;

/** By the token before: what is drawn from, and what drafts are drawn from. */
const target = tables(31, 1.2);
const near = target.map((logits, i) => logits.map((x, j) => x + tables(32, 0.4)[i]![j]!));
const far = tables(33, 1.2);

function tables(seed: number, scale: number): Float32Array[] {
  const random = seededRandom(seed);
  return Array.from({ length: V + 1 }, () => normal(V, random, scale));
}

let device: Device;
let step: SampleStep;
beforeAll(async () => {
  device = await openDevice();
  step = await SampleStep.create(device, ROWS, V);
});
afterAll(() => device.destroy());

interface Draw {
  readonly logits: Float32Array;
  readonly position: number;
}

/** One token for each sequence of a batch, each by its own seed. */
async function draw(settings: SamplingSettings, first: number, draws: readonly Draw[]) {
  draws.forEach(({ logits }, row) => {
    step.write("logits", logits, row * V);
  });
  const rows = draws.map(({ position }, row) => {
    return { ...settings, position, seed: BigInt(first + row) };
  });
  return (await step.sample(rows)).map(({ id }) => id);
}

/** The first two tokens of as many answers, by rounds of two drafts. */
async function firstTwo(settings: SamplingSettings, drafts: readonly Float32Array[]) {
  const counts = new Uint32Array(V * V);
  let accepted = 0;
  for (let first = 0; first < NUM_ROUNDS; first += ROWS) {
    const rows = Array.from({ length: ROWS }, (_, i) => i);
    const at = (table: readonly Float32Array[], before: readonly number[], position: number) =>
      draw(
        settings,
        first,
        rows.map((row) => ({ logits: table[before[row]!]!, position })),
      );
    const start = rows.map(() => START);
    const guess = await at(drafts, start, 0);
    const guesses = [guess, await at(drafts, guess, 1)];
    const verified = [
      await at(target, start, 0),
      await at(target, guesses[0]!, 1),
      await at(target, guesses[1]!, 2),
    ];
    const alone = await at(target, verified[0]!, 1);
    for (const row of rows) {
      const round = { row: { kind: "verify" }, drafts: guesses.map((ids) => ids[row]!) };
      const tokens = verified.map((ids) => ({ id: ids[row]! }));
      const answer = standing(round as unknown as RowSamples, tokens).map(({ id }) => id);
      accepted += answer.length > 1 ? 1 : 0;
      // A round that ends with its first token is followed by another, which goes on there.
      counts[V * answer[0]! + (answer[1] ?? alone[row]!)]! += 1;
    }
  }
  return { counts, accepted: accepted / NUM_ROUNDS };
}

/** Float64, of any scale. */
function weightsOf(logits: Float32Array, { temperature, topK }: SamplingSettings): Float64Array {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]!);
  const weights = new Float64Array(V);
  for (const i of topK > 0 ? order.slice(0, topK) : order)
    weights[i] = Math.exp((logits[i]! - logits[order[0]!]!) / temperature);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

test.each([
  ["near", near, { temperature: 1 }],
  ["near, top-k 5", near, { temperature: 0.7, topK: 5 }],
  ["far", far, { temperature: 1 }],
] as const)("drafts that are %s", async (name, drafts, given) => {
  const settings = { ...PLAIN, ...given };
  const { counts, accepted } = await firstTwo(settings, drafts);
  const first = weightsOf(target[START]!, settings);
  const weights = Float64Array.from({ length: V * V }, (_, i) => {
    const [a, b] = [Math.floor(i / V), i % V];
    return first[a]! * weightsOf(target[a]!, settings)[b]!;
  });
  const { pValue } = chiSquare(counts, weights);
  report("speculation", { drafts: name, rounds: NUM_ROUNDS, accepted, pValue });
  expect(pValue).toBeGreaterThan(LEAST_P);
  expect(accepted).toBeGreaterThan(0);
  expect(accepted).toBeLessThan(1);
  // Were drafts taken as they come, this would show.
  const drafted = weights.map((_, i) => {
    const [a, b] = [Math.floor(i / V), i % V];
    return weightsOf(drafts[START]!, settings)[a]! * weightsOf(drafts[a]!, settings)[b]!;
  });
  expect(chiSquare(counts, drafted).pValue).toBeLessThan(LEAST_P);
});
