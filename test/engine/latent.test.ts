// An engine whose cache holds latents: taken back, swapped to the host, shared between prompts and cut
// into small blocks, an answer stays what it is alone.

import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { GOLDENS, tinyModel } from "../cli/tiny-model.ts";
import { ask } from "./ask.ts";
import { nodePlatform } from "./node-model.ts";
import { opener } from "./subject.ts";

const folder = localFolder(tinyModel({}, join(GOLDENS, "deepseek-v2", "f32")));
const open = opener({ platform: nodePlatform, folder, device: "reference" });

const ids = (count: number, from: number) =>
  Array.from({ length: count }, (_, i) => 2 + ((from + 7 * i * i) % 90));
const shared = ids(70, 1);
const requests: GenerateRequest[] = [[], ids(3, 5), ids(40, 9), ids(90, 2)].map((own, i) => ({
  prompt: [...shared, ...own],
  ...{ maxTokens: 24, ignoreEos: true, temperature: i === 2 ? 1.5 : 0, seed: i, topLogprobs: 2 },
}));

async function answers(options: EngineOptions, together = true) {
  const subject = await open({ maxTokensPerPlan: 64, maxRows: 3, ...options });
  const answered = [];
  if (together) {
    answered.push(...(await Promise.all(requests.map((request) => ask(subject.door, request)))));
  } else for (const request of requests) answered.push(await ask(subject.door, request));
  expect(subject.engine.loop.usage.sequences).toBe(0);
  await subject.door.close();
  const taken = subject.steps.flatMap(({ plan }) => plan.preempted);
  // Bits, not only choices.
  return { taken, visible: answered.map(({ ids, logprobs }) => ({ ids, logprobs })) };
}

let alone: Awaited<ReturnType<typeof answers>>;
beforeAll(async () => {
  alone = await answers({ prefixCache: false }, false);
});

test.each<[string, EngineOptions, boolean]>([
  ["taken back and computed again", { forcePreemptionEvery: 3 }, true],
  ["taken back and swapped", { forcePreemptionEvery: 3, hostKvBytes: 1e7 }, true],
  ["together, in blocks of 16, cut by layers", { blockTokens: 16, cutBy: "layers" }, false],
])("%s", async (_, options, takes) => {
  const { taken, visible } = await answers(options);
  expect(visible).toEqual(alone.visible);
  expect(taken.length > 0).toBe(takes);
});

test("with a prefix that is shared", async () => {
  expect((await answers({}, false)).visible).toEqual(alone.visible);
});
