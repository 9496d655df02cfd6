// Random schedules on a real queue: depth, quantum, cuts by tokens or layers, forced preemption, blocks
// swapped to the host, prefix hits and aborts of others. Whatever the schedule, each request's ids are those it has alone.

import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import { groupBlockBytes } from "../../runtime/kv-cache.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const numSchedules = scale("schedules", project() === "swiftshader" ? 4 : 7, 100);

/** A step of all layers takes SwiftShader a second. */
const FOLDERS = {
  lavapipe: demoFolder(),
  reference: shallowFolder(demoFolder(), 2),
  swiftshader: shallowFolder(demoFolder(), 1),
  chromium: shallowFolder(demoFolder(), 1),
};
const openEngine = opener({
  platform: nodePlatform,
  folder: FOLDERS[project()],
  device: project() === "reference" ? "reference" : "gpu",
});

/** On SwiftShader the blocks that are swapped, shared and computed again hold scales too. */
const storage = project() === "swiftshader" ? "i8" : "f16";
const SIZES = { maxTokensPerPlan: 64, maxRows: 4, kv: storage } as const;
/** Of 32 tokens; all requests at once need more. */
const NUM_BLOCKS = 14;
const shared = randomIds(40, 1);

/** Every setting that keeps state from token to token; some prompts begin alike. */
const requests: GenerateRequest[] = [
  {},
  { temperature: 1.5, seed: 1 },
  { temperature: 2, seed: 2, repetitionPenalty: 1.3, topK: 200 },
  { temperature: 1, seed: 3, presencePenalty: 1, frequencyPenalty: 0.5, topP: 0.9 },
  { temperature: 4, seed: 4, minP: 0.01 },
].map((settings, i) => ({
  prompt: [...shared.slice(0, i % 2 === 0 ? 40 : 0), ...randomIds([3, 58, 20, 90, 30][i], 90 + i)],
  maxTokens: 5 + (i % 3),
  ignoreEos: true,
  ...settings,
}));

/** On one device, which is closed with this one. */
let plain: Subject;
const alone: (readonly number[])[] = [];

beforeAll(async () => {
  plain = await openEngine({ ...SIZES, prefixCache: false });
  for (const request of requests) alone.push((await ask(plain.door, request)).ids);
}, 300_000);
afterAll(() => plain?.door.close());

test(
  `${numSchedules} random schedules`,
  async () => {
    const { weightBytes, activationBytes, kv } = plain.engine.plan;
    const kvBytes = NUM_BLOCKS * groupBlockBytes(kv.groups[0]);
    const memoryBudgetBytes = weightBytes + activationBytes + kvBytes;
    const counts = {
      plans: 0,
      submissions: 0,
      cutPlans: 0,
      preempted: 0,
      hits: 0,
      swapped: 0,
      aborted: 0,
    };
    for (let seed = 0; seed < numSchedules; seed++) {
      const random = seededRandom(seed);
      const oneOf = <T>(list: readonly T[]): T => list[Math.floor(list.length * random())];
      const options: EngineOptions = {
        ...SIZES,
        memoryBudgetBytes,
        maxRunAhead: oneOf([1, 2, 8]),
        // Before anything was measured, no device is thought to run a prompt within the first.
        quantumMs: oneOf([1, 1, 10, 40, Number.POSITIVE_INFINITY]),
        cutBy: oneOf(["sooner", "tokens", "layers", "layers"] as const),
        forcePreemptionEvery: oneOf([undefined, 2, 3, 5]),
        prefixCache: oneOf([true, false]),
        hostKvBytes: oneOf([0, 1e9]),
      };
      const subject = await openEngine(options, plain.engine.device);
      const label = `schedule ${seed}: ${JSON.stringify(options)}`;
      const order = requests.map((_, i) => i).sort(() => random() - 0.5);
      const victim = oneOf(order);
      const runs = order.map(async (i) => {
        const { signal, onChunk } = i === victim ? abortAfter(oneOf([0, 1, 3])) : {};
        const answer = ask(subject.door, requests[i], { signal }, onChunk);
        if (signal) counts.aborted += Number((await refused(answer, "aborted")) !== undefined);
        else expect((await answer).ids, label).toEqual(alone[i]);
      });
      await Promise.all(runs);
      await settled(subject);
      // Once more: what the one that was aborted has left is no trouble.
      expect((await ask(subject.door, requests[victim])).ids, label).toEqual(alone[victim]);
      const plans = subject.steps.map(({ plan }) => plan);
      counts.plans += plans.length;
      counts.submissions += plans.flatMap(({ submissions }) => submissions).length;
      counts.cutPlans += plans.filter(({ rows }) => rows.at(-1)!.stages.from > 0).length;
      counts.preempted += plans.flatMap(({ preempted }) => preempted).length;
      counts.swapped += (await subject.engine.metrics()).total.swappedBlocks;
      counts.hits += (await subject.engine.metrics()).total.prefixHitTokens;
    }
    report("schedules", { schedules: numSchedules, ...counts });
    const { cutPlans, preempted, swapped, hits } = counts;
    expect(Math.min(cutPlans, preempted, swapped, hits)).toBeGreaterThan(0);
    expect(counts.submissions).toBeGreaterThan(counts.plans);
    expect(counts.aborted).toBe(numSchedules);
  },
  scale("schedules", 300_000, 3_600_000),
);

/** Aborts once so many chunks have come, or before the first. */
function abortAfter(numChunks: number) {
  const controller = new AbortController();
  let count = 0;
  if (numChunks === 0) setTimeout(() => controller.abort(), 0);
  const onChunk = () => {
    count += 1;
    if (count === numChunks) controller.abort();
  };
  return { signal: controller.signal, onChunk };
}
