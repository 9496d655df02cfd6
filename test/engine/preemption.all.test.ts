// The engine while every third plan takes back the newest running sequence: no reader can tell.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GenerateRequest } from "../../runtime/request.ts";
import { project } from "../harness/project.ts";
import { type Answered, ask, randomIds, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";
import { engineSuite } from "./suite.ts";

// The model matters little here, and a step of all its layers is slow without a real GPU.
const openEngine = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder(), 2),
  device: project() === "reference" ? "reference" : "gpu",
});

const FORCED = 3;

/** Every setting that keeps state from token to token; prompts of one chunk and of several. */
const requests: GenerateRequest[] = [
  {},
  { temperature: 1.5, seed: 1 },
  { temperature: 2, seed: 2, repetitionPenalty: 1.3, topK: 200 },
  { frequencyPenalty: 1.5, logitBias: { 100: 8, 101: 8, 102: 8 } },
  { temperature: 1, seed: 3, presencePenalty: 1, frequencyPenalty: 0.5, topP: 0.9 },
  { temperature: 4, seed: 4, topLogprobs: 3 },
].map((settings, i) => ({
  prompt: randomIds([3, 70, 20, 5, 40, 130][i], 80 + i),
  maxTokens: 10 + i,
  ignoreEos: true,
  ...settings,
}));

const isSlow = project() === "swiftshader";
const LABEL = "(not on SwiftShader, where schedules.all.test.ts takes back)";

describe.skipIf(isSlow)(`ids are those of an engine that takes nobody back ${LABEL}`, () => {
  let plain: Subject;
  let forced: Subject;
  const alone: Answered[] = [];

  beforeAll(async () => {
    const sizes = { maxTokensPerPlan: 64, maxRows: 4 };
    plain = await openEngine(sizes);
    forced = await openEngine({ ...sizes, forcePreemptionEvery: FORCED }, plain.engine.device);
    for (const request of requests) alone.push(await ask(plain.door, request));
    expect(plain.steps.flatMap(({ plan }) => plan.preempted)).toEqual([]);
  }, 300_000);
  afterAll(async () => {
    await forced?.door.close();
    await plain?.door.close();
  });

  test.each(requests.map((_, i) => i))("request %i alone", async (i) => {
    const numSteps = forced.steps.length;
    expect(visible(await ask(forced.door, requests[i]))).toEqual(visible(alone[i]));
    await settled(forced);
    // Its prompt, its ids so far, and the rest of its answer.
    const taken = forced.steps.slice(numSteps).flatMap(({ plan }) => plan.preempted);
    expect(taken.length).toBeGreaterThanOrEqual(3);
  });

  test("all at once, more than there are rows", async () => {
    const numSteps = forced.steps.length;
    const together = await Promise.all(requests.map((request) => ask(forced.door, request)));
    expect(together.map(visible)).toEqual(alone.map(visible));
    await settled(forced);
    const plans = forced.steps.slice(numSteps).map(({ plan }) => plan);
    const beside = plans.filter(({ preempted, rows }) =>
      preempted.some((id) => rows.some(({ sequenceId }) => sequenceId !== id)),
    );
    expect(beside.length).toBeGreaterThanOrEqual(3);
  });
});

if (project() === "lavapipe") {
  describe("the engine suite", () =>
    engineSuite(openEngine, { forcePreemptionEvery: FORCED, otherKv: "i8" }));
} else {
  test.skip("the engine suite: on lavapipe, where many plans are in flight; once is enough", () => {});
}

/** Bits, not only choices. */
const visible = ({ ids, text, logprobs, finishReason, usage }: Answered) => ({
  ids,
  text,
  logprobs,
  finishReason,
  usage,
});
