// Layer policies beside everything else that models and engines have: windows, convolutions, latents,
// sinks, experts that come and go. Drafts change no token and no logprob, and rows of several plans in
// one step have the answers that they have alone, also when they are taken back.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import type { LayerPlan, LayerPolicy } from "../../runtime/layer-policy.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { GOLDENS, tinyModel } from "../cli/tiny-model.ts";
import { type Answered, ask, settled } from "./ask.ts";
import { nodePlatform } from "./node-model.ts";
import { type OpenEngine, opener, type Subject } from "./subject.ts";

const VOCABULARY = 131;
const SIZES = { maxTokensPerPlan: 64, maxRows: 4 } as const;

/** Random weights agree on little, so most drafts are refused. */
const DRAFTING: readonly LayerPolicy[] = [
  { name: "self-speculation", draft: { skipMlp: [1] }, always: true },
  { name: "self-speculation", draft: { skip: [1] }, maxDraftTokens: 3, always: true },
  { name: "prompt-lookup", always: true },
];
const STATIC: readonly LayerPolicy[] = [
  { name: "static", plan: { skipAttention: [0] } },
  { name: "static", plan: { skip: [1] } },
  { name: "static", plan: {} },
];

function ids(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => Math.floor(random() * VOCABULARY));
}

const requests: GenerateRequest[] = [2, 31, 40, 75].map((length, i) => ({
  prompt: ids(length, i),
  maxTokens: 10 + 3 * i,
  ignoreEos: true,
  ...{ temperature: [0, 1][i % 2], seed: i, topLogprobs: 2 },
}));

/** Bits, not only choices. */
const visible = ({ ids, logprobs }: Answered) => ({ ids, logprobs });

const capped = { experts: { memoryBytes: 100_000 } } as const;
type Case = readonly [name: string, folder: string, attending: number, options: EngineOptions];
/** With a layer that attends to all tokens. */
const models: readonly Case[] = [
  ["windows", "qwen2-window/f32", 0, {}],
  ["convolutions", "lfm2/f32", 1, {}],
  ["latents and shared experts", "deepseek-v2/bf16", 1, {}],
  ["sinks and biases", "gpt-oss/f32", 1, {}],
  ["norms after blocks, caps", "gemma2/f32", 1, {}],
  ["experts under a cap", "qwen3-moe/f32", 1, capped],
];

/** Two leave layers out for most tokens; one runs all. */
const turns = (plan: LayerPlan): readonly (LayerPolicy | undefined)[] => [
  { name: "temporal", plan, period: 3 },
  { name: "temporal", plan, period: 2, cache: "hole" },
  undefined,
];

describe.each(models)("%s", (_, golden, attending, options) => {
  let open: OpenEngine;
  let plain: Subject;
  beforeAll(async () => {
    const folder = localFolder(tinyModel({}, `${GOLDENS}/${golden}`));
    open = opener({ platform: nodePlatform, folder, device: "reference" });
    plain = await open({ ...SIZES, ...options });
  });
  afterAll(() => plain?.door.close());

  const answers = (subject: Subject, policies: readonly (LayerPolicy | undefined)[]) =>
    Promise.all(
      requests.map((request, i) =>
        ask(subject.door, { ...request, layerPolicy: policies[i % policies.length] }),
      ),
    ).then((all) => all.map(visible));

  test("drafts change nothing, at once and taken back", async () => {
    const expected = await answers(plain, [undefined]);
    expect(await answers(plain, DRAFTING)).toEqual(expected);
    expect((await plain.engine.metrics()).total.draftRounds).toBeGreaterThan(3);
    const forced = await open({ ...SIZES, ...options, forcePreemptionEvery: 4 });
    expect(await answers(forced, DRAFTING.toReversed())).toEqual(expected);
    expect((await forced.engine.metrics()).total.preemptions).toBeGreaterThan(0);
    await settled(forced);
    await forced.door.close();
  });

  test("plans in one step answer as they do alone", async () => {
    const alone: ReturnType<typeof visible>[] = [];
    for (const [i, request] of requests.entries()) {
      const layerPolicy = STATIC[i % STATIC.length];
      alone.push(visible(await ask(plain.door, { ...request, layerPolicy })));
    }
    expect(await answers(plain, STATIC)).toEqual(alone);
    await settled(plain);
  });

  test("so do tokens that take turns, also when they are taken back", async () => {
    const plan = { skip: [attending], skipMlp: [0] };
    const model = { ...SIZES, ...options, layerPlans: [plan] };
    const subject = await open(model);
    const alone: ReturnType<typeof visible>[] = [];
    for (const [i, request] of requests.entries()) {
      const layerPolicy = turns(plan)[i % 3];
      alone.push(visible(await ask(subject.door, { ...request, layerPolicy })));
    }
    expect(alone[0]).not.toEqual(visible(await ask(subject.door, requests[0])));
    expect(await answers(subject, turns(plan))).toEqual(alone);
    await settled(subject);
    const forced = await open({ ...model, forcePreemptionEvery: 4 });
    expect(await answers(forced, turns(plan))).toEqual(alone);
    expect((await forced.engine.metrics()).total.preemptions).toBeGreaterThan(0);
    await settled(forced);
    await Promise.all([subject, forced].map(({ door }) => door.close()));
  });
});
