// An engine with `invariant: false`: other kernels, near enough the same numbers, and it says so.

import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, randomIds, refused } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const SIZES = { maxTokensPerPlan: 64, maxRows: 4, quantumMs: Number.POSITIVE_INFINITY };
const open = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder(), 1),
  device: "gpu",
});

let plain: Subject;
let free: Subject;
beforeAll(async () => {
  plain = await open(SIZES);
  free = await open({ ...SIZES, invariant: false }, plain.engine.device);
}, 120_000);
afterAll(() => plain?.door.close());

test("it multiplies by kernels in no numeric class, and does not claim to be invariant", () => {
  expect(plain.engine.selfTest.invariant).toBe(true);
  expect(free.engine.selfTest).toMatchObject({ invariant: false, failed: 0 });
  const matrices = free.engine.selfTest.kernels.filter(({ name }) => name.startsWith("matmul"));
  expect(matrices.length).toBeGreaterThan(4);
  for (const { name } of matrices) expect(name).toMatch(/_any\[/);
});

test.each([1, 4])(
  "%i at once get the tokens that an invariant engine gives, or near ones",
  async (count) => {
    const answers = ({ door }: Subject) =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          ask(door, {
            ...{ prompt: randomIds(40 + i, i), maxTokens: 3, ignoreEos: true },
            ...{ temperature: 0, topLogprobs: 1 },
          }),
        ),
      );
    const [given, wanted] = [await answers(free), await answers(plain)];
    for (const [i, { logprobs }] of given.entries()) {
      for (const [position, [{ logprob }]] of logprobs.entries()) {
        // The likeliest of two that are as good as equal may be the other one: not so its probability.
        expect(logprob).toBeCloseTo(wanted[i]!.logprobs[position]![0].logprob, 4);
        if (given[i]!.ids[position] !== wanted[i]!.ids[position]) break;
      }
    }
  },
);

test("tuning, which chooses inside the class, is refused beside it", async () => {
  const tuning = { read: async () => undefined, write: async () => {} };
  await refused(
    open({ ...SIZES, invariant: false, tuning }, plain.engine.device),
    "bad_request",
    /leave out one/,
  );
});
