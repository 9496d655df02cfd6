// A device that goes away under eight streams, at random points of them: none of their readers may
// notice anything but time. One function, so that every driver and Chromium run the same.

import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import { createEngineWith, type Platform } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { project } from "../harness/project.ts";
import { report } from "../harness/soak.ts";
import { ask, randomIds } from "./ask.ts";

/** Every setting that keeps state from token to token, and every way to leave layers out. */
const settings: readonly Partial<GenerateRequest>[] = [
  {},
  { temperature: 1.5, seed: 1, topLogprobs: 2 },
  { temperature: 2, seed: 2, repetitionPenalty: 1.3, topK: 200 },
  { temperature: 1, seed: 3, presencePenalty: 1, frequencyPenalty: 0.5, topP: 0.9 },
  { temperature: 1, seed: 4, n: 2 },
  { layerPolicy: { name: "self-speculation", draft: { skip: [1] } } },
  { layerPolicy: { name: "prompt-lookup" } },
  {
    temperature: 1,
    seed: 5,
    priority: "background",
    layerPolicy: { name: "early-exit", exits: [1], threshold: 0.002 },
  },
];

const shared = randomIds(40, 1);

const requests: readonly GenerateRequest[] = settings.map((setting, i) => ({
  prompt: [...shared.slice(0, i % 2 === 0 ? 40 : 0), ...randomIds(3 + 17 * (i % 4), 90 + i)],
  maxTokens: 12 + 3 * (i % 3),
  ignoreEos: true,
  ...setting,
}));

export interface LossSuiteOptions {
  readonly platform: Platform;
  readonly folder: ModelFolder;
  readonly count: number;
  readonly timeoutMs: number;
}

export function lossSuite({ platform, folder, count, timeoutMs }: LossSuiteOptions): void {
  let engine: Engine;
  const alone: (readonly number[])[] = [];
  const of = (request: GenerateRequest, onChunk?: () => void) =>
    ask(engine, request, {}, onChunk).then(({ chunks }) =>
      chunks.toSorted((a, b) => a.index - b.index).flatMap(({ tokenIds }) => tokenIds),
    );

  beforeAll(async () => {
    engine = await createEngineWith(platform, {
      model: folder,
      device: project() === "reference" ? "reference" : "gpu",
      ...{ maxTokensPerPlan: 64, maxRows: 6, quantumMs: Number.POSITIVE_INFINITY },
    });
    for (const request of requests) alone.push(await of(request));
  }, timeoutMs);
  afterAll(() => engine?.close());

  test(
    `${count} losses of the device under eight streams`,
    async () => {
      const random = seededRandom(7);
      const numChunks = alone.flat().length;
      const before = (await engine.metrics()).total;
      const recoveredMs: number[] = [];
      for (let loss = 1; loss <= count; loss++) {
        // Before the first token, at each token, and between two.
        const at = Math.floor(random() * numChunks);
        const delayMs = random() < 0.5 ? undefined : 20 * random();
        let seen = 0;
        let lostMs = 0;
        const lose = () => {
          if (++seen !== at + 1) return;
          const destroy = () => {
            lostMs = performance.now();
            engine.device.destroy();
          };
          if (delayMs === undefined) destroy();
          else setTimeout(destroy, delayMs);
        };
        if (at === 0) lose();
        const answers = requests.map((request) => of(request, lose));
        const label = `loss ${loss} at chunk ${at}, ${delayMs ?? 0} ms behind it`;
        for (const [i, ids] of (await Promise.all(answers)).entries())
          expect(ids, `${label}, request ${i}`).toEqual(alone[i]);
        await expect
          .poll(async () => (await engine.metrics()).total.deviceLosses - before.deviceLosses, {
            timeout: 60_000,
          })
          .toBe(loss);
        recoveredMs.push(performance.now() - lostMs);
      }
      const { total } = await engine.metrics();
      expect(engine.loop.usage).toMatchObject({ sequences: 0, slots: 0 });
      report("loss", {
        losses: count,
        recomputedTokens: total.recomputedTokens - before.recomputedTokens,
        medianMs: recoveredMs.toSorted((a, b) => a - b)[count >> 1],
      });
    },
    timeoutMs,
  );
}
