// Bias, penalties and their history, and the argmax twin, against plain float64 loops over lists of
// tokens; and that a row's bits depend on that row alone.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normal, seededRandom } from "../../kernels/probe.ts";
import { IN_PROMPT, packHistory } from "../../kernels/sample-history.ts";
import { packBias } from "../../kernels/sample-scores.ts";
import { BANNED, PLAIN, type SamplingSettings } from "../../kernels/sample-settings.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { SampleStep } from "./sample-step.ts";

const V = 2500;

/** The processors of transformers and the OpenAI API, from token lists. */
function process(
  logits: Float32Array,
  settings: SamplingSettings,
  {
    bias = [],
    prompt = [],
    output = [],
  }: Partial<Record<"prompt" | "output", number[]>> & {
    bias?: [number, number][];
  },
): Float64Array {
  const scores = Float64Array.from(logits);
  const banned = new Set<number>();
  for (const [id, value] of bias) {
    scores[id]! += value;
    if (value <= -100) banned.add(id);
  }
  for (const id of new Set([...prompt, ...output])) {
    scores[id]! *= scores[id]! > 0 ? 1 / settings.repetitionPenalty : settings.repetitionPenalty;
  }
  for (const id of output) scores[id]! -= settings.frequencyPenalty;
  for (const id of new Set(output)) scores[id]! -= settings.presencePenalty;
  const temperature = settings.temperature || 1;
  return scores.map((score, id) => (banned.has(id) ? BANNED : score / temperature));
}

function expectScores(got: Float32Array, want: Float64Array): void {
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    if (error > 4e-6 * Math.max(1, Math.abs(want[i]!))) expect([i, got[i]]).toEqual([i, want[i]]);
  }
}

const argmax = (scores: ArrayLike<number>) =>
  Array.from(scores).indexOf(Math.max(...Array.from(scores)));

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

describe("scores", () => {
  const random = seededRandom(31);
  const ids = (count: number) => Array.from({ length: count }, () => Math.floor(V * random()));
  const prompt = ids(200);
  const output = [...ids(100), ...prompt.slice(0, 20), ...prompt.slice(0, 5)];
  const bias = [...new Set(ids(300))].map((id, i): [number, number] => [
    id,
    i % 7 ? 20 * random() - 10 : -100,
  ]);
  const logits = normal(V, random, 5);
  const row = { ...PLAIN, temperature: 0.6 };
  test.each<[string, Partial<SamplingSettings>, boolean]>([
    ["repetition", { repetitionPenalty: 1.3 }, false],
    ["repetition below 1", { repetitionPenalty: 0.8 }, false],
    ["presence", { presencePenalty: 0.7 }, false],
    ["frequency", { frequencyPenalty: -0.4 }, false],
    ["all penalties", { repetitionPenalty: 1.2, presencePenalty: 1, frequencyPenalty: 0.5 }, false],
    ["300 biases", { historyRow: null }, true],
    [
      "biases and penalties",
      { repetitionPenalty: 1.2, presencePenalty: 1, frequencyPenalty: 0.5 },
      true,
    ],
  ])("%s", async (_, penalties, biased) => {
    const step = await SampleStep.create(device, 2, V);
    step.write("bias", packBias([[7, 90], ...bias]));
    await step.setHistory(2, packHistory(prompt, output));
    step.write("logits", logits, V);
    const second = { ...row, historyRow: 2, ...penalties };
    const biases = biased ? { biasAt: 1, biasCount: bias.length } : {};
    await step.sample([PLAIN, { ...second, ...biases }]);
    const want = process(logits, second, {
      bias: biased ? bias : [],
      ...(second.historyRow === null ? {} : { prompt, output }),
    });
    const got = (await step.readFloats("scores")).subarray(V, 2 * V);
    expectScores(got, want);
    // What a mistake would look like must be seen.
    expect(() =>
      expectScores(got, process(logits, { ...second, temperature: 0.61 }, {})),
    ).toThrow();
    step.destroy();
  });
});

test("a mask leaves what it allows, alone or with a filter, and another row as it was", async () => {
  const random = seededRandom(33);
  const logits = normal(V, random, 3);
  const allowed = new Set([3, 31, 32, 1023, 1024, 2047, V - 1]);
  const mask = new Uint32Array(Math.ceil(V / 32));
  for (const id of allowed) mask[id >> 5] |= 1 << (id & 31);
  const step = await SampleStep.create(device, 2, V);
  for (let r = 0; r < 2; r++) step.write("logits", logits, r * V);
  step.write("mask", mask, mask.length);
  const hot = { ...PLAIN, temperature: 3 };
  const [plain] = await step.sample([hot, { ...hot, isMasked: true }]);
  const scores = await step.readFloats("scores");
  for (let i = 0; i < V; i++) {
    expect(scores[i]).toBeCloseTo(logits[i] / 3, 4);
    if (!allowed.has(i)) expect(scores[V + i]).toBe(BANNED);
    else expect(scores[V + i]).toBe(scores[i]);
  }
  const best = [...allowed].sort((a, b) => logits[b] - logits[a]);
  const drawn = new Set<number>();
  for (let position = 0; position < 40; position++) {
    const rows = [hot, { ...hot, isMasked: true, position, seed: 5n, topK: 3 }];
    const [beside, masked] = await step.sample(rows);
    expect(beside).toEqual(plain);
    expect(masked.numCandidates).toBe(3);
    drawn.add(masked.id);
  }
  expect(drawn).toEqual(new Set(best.slice(0, 3)));
  const [, greedy] = await step.sample([PLAIN, { ...PLAIN, isMasked: true }]);
  expect(greedy.id).toBe(best[0]);
  step.destroy();
});

test("a history grows with what is sampled, and steers it", async () => {
  const logits = normal(V, seededRandom(32), 4);
  const settings = {
    ...PLAIN,
    repetitionPenalty: 1.4,
    frequencyPenalty: 0.3,
    presencePenalty: 0.2,
  };
  const step = await SampleStep.create(device, 2, V);
  const prompt = [argmax(logits), 5, 5, 9];
  await step.setHistory(1, packHistory(prompt));
  await step.setHistory(3, packHistory([1, 2], [2, 2]));
  const output: number[] = [];
  for (let r = 0; r < 2; r++) step.write("logits", logits, r * V);
  for (let position = 0; position < 30; position++) {
    const expected = argmax(process(logits, settings, { prompt, output }));
    const picks = await step.sample([PLAIN, { ...settings, historyRow: 1, position }]);
    const { id } = picks[1]!;
    expect(id).toBe(expected);
    output.push(id);
  }
  expect(new Set(output).size).toBeGreaterThan(5);
  const history = await step.read("history");
  const fresh = new Map(prompt.map((id) => [id, IN_PROMPT]));
  for (const id of output) fresh.set(id, (fresh.get(id) ?? 0) + 1);
  for (let i = 0; i < V; i++) expect(history[V + i]).toBe(fresh.get(i) ?? 0);
  expect([...history.subarray(3 * V, 3 * V + 3)]).toEqual([0, IN_PROMPT, IN_PROMPT + 2]);
  expect([...(await step.read("last_token")).subarray(0, 2)]).toEqual([
    argmax(logits),
    output.at(-1),
  ]);
  // A resumed sequence starts from what it had sampled.
  await step.setHistory(0, packHistory(prompt, output));
  const resumed = await step.read("history");
  expect(resumed.subarray(0, V)).toEqual(history.subarray(V, 2 * V));
  step.destroy();
});

test("banned tokens are never drawn", async () => {
  const R = 64;
  const logits = normal(R * V, seededRandom(33), 2);
  const step = await SampleStep.create(device, R, V);
  step.write("logits", logits);
  // The likeliest 300 of row 0 are banned for all; one token gets an exclusive +100.
  const order = Array.from(logits.subarray(0, V).keys()).sort((a, b) => logits[b]! - logits[a]!);
  const banned = order.slice(0, 300);
  step.write("bias", packBias([...banned.map((id): [number, number] => [id, -100]), [77, 100]]));
  const hot = { ...PLAIN, temperature: 3, biasCount: banned.length };
  for (let position = 0; position < 5; position++) {
    const picks = await step.sample(
      Array.from({ length: R }, (_, r) => ({ ...hot, position, seed: BigInt(r) })),
    );
    for (const { id, numCandidates } of picks) {
      expect(banned).not.toContain(id);
      expect(numCandidates).toBe(V - banned.length);
    }
  }
  const exclusive = { ...PLAIN, temperature: 1, biasAt: 300, biasCount: 1 };
  expect((await step.sample([exclusive])).map(({ id }) => id)).toEqual([77]);
  step.destroy();
});

test("every token banned, or no logit a number: an id that exists", async () => {
  const step = await SampleStep.create(device, 3, 300);
  step.write("bias", packBias(Array.from({ length: 300 }, (_, id) => [id, -100])));
  step.write("logits", new Float32Array(900).fill(1).fill(Number.NaN, 600));
  const row = { ...PLAIN, temperature: 1, biasCount: 300 };
  const picks = await step.sample([
    row,
    { ...row, topK: 5, topP: 0.5 },
    { ...row, biasCount: 0, topK: 5 },
  ]);
  for (const { id } of picks) expect(id).toBeLessThan(300);
  step.destroy();
});

test("greedy: the lowest id among equals, and the same from the fast kernel", async () => {
  const R = 8;
  for (const size of [33, 1024, 1025, V]) {
    const step = await SampleStep.create(device, R, size);
    const logits = normal(R * size, seededRandom(size), 1).map((x) => Math.round(2 * x));
    step.write("logits", logits);
    const rows = Array.from({ length: R }, () => PLAIN);
    const slow = await step.sample(rows);
    const fast = await step.sample(rows, true);
    const expected = rows.map((_, r) => argmax(logits.subarray(r * size, (r + 1) * size)));
    expect(slow.map(({ id }) => id)).toEqual(expected);
    expect(fast).toEqual(slow);
    step.destroy();
  }
});

test("a row gives the same bits alone, among others and in any place", async () => {
  const R = 16;
  const random = seededRandom(34);
  const logits = normal(R * V, random, 3);
  const rows = Array.from(
    { length: R },
    (_, r): SamplingSettings => ({
      ...PLAIN,
      temperature: r % 5 === 4 ? 0 : 0.4 + random(),
      topK: r % 3 === 0 ? 400 : 0,
      topP: r % 2 === 0 ? 0.9 : 1,
      minP: r % 4 === 1 ? 0.01 : 0,
      biasAt: r,
      biasCount: r % 6,
      position: 10 * r,
      seed: 5n,
      topLogprobs: r % 3 === 2 ? null : r,
    }),
  );
  const step = await SampleStep.create(device, R, V);
  step.write("bias", packBias(Array.from({ length: R + 6 }, (_, e) => [(e * 173) % V, e - 8])));
  const bits = async (order: number[]) => {
    for (const [place, r] of order.entries())
      step.write("logits", logits.slice(r * V, (r + 1) * V), place * V);
    const picks = await step.sample(order.map((r) => rows[r]!));
    const [scores, ids, logprobs] = [
      await step.read("scores"),
      await step.read("top_ids"),
      await step.read("top_logprobs"),
    ];
    return new Map(
      order.map((r, place) => {
        const wanted = rows[r]!.topLogprobs !== null;
        const entries = (words: Uint32Array) =>
          wanted ? words.slice(21 * place, 21 * place + 21) : [];
        return [
          r,
          {
            pick: picks[place],
            scores: scores.slice(place * V, (place + 1) * V),
            ids: entries(ids),
            logprobs: entries(logprobs),
          },
        ];
      }),
    );
  };
  const all = Array.from(rows.keys());
  const together = await bits(all);
  const reversed = await bits([...all].reverse());
  for (const r of all) expect(reversed.get(r)).toEqual(together.get(r));
  for (const r of [0, 1, 4, 6, 9, 14]) {
    expect((await bits([r])).get(r)).toEqual(together.get(r));
  }
  step.destroy();
});
