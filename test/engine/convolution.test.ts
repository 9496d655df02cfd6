// A model whose layers convolve or attend: what its convolutions know of a sequence lies in blocks of
// a window, so nobody can tell whether requests run together, are taken back, swapped, forked, or begin
// with what another computed.

import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import { layerGroups } from "../../models/decoder.ts";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import { groupBlockBytes } from "../../runtime/kv-cache.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import type { WorkPlan } from "../../scheduler/index.ts";
import { GOLDENS, tinyModel } from "../cli/tiny-model.ts";
import { type Answered, ask, settled } from "./ask.ts";
import { nodePlatform } from "./node-model.ts";
import { opener, type Subject } from "./subject.ts";

const B = 32;
const VOCABULARY = 131;
const SIZES = { maxTokensPerPlan: 64, maxRows: 4 } as const;

const openEngine = opener({
  platform: nodePlatform,
  folder: localFolder(tinyModel({}, `${GOLDENS}/lfm2/f32`)),
  device: "reference",
});

function ids(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => Math.floor(random() * VOCABULARY));
}

/** Prompts of one chunk and of several, ends of blocks, and answers that pass a block. */
const requests: GenerateRequest[] = [1, 2, 31, 32, 66, 150].map((length, i) => ({
  prompt: ids(length, i),
  maxTokens: 12 + 5 * i,
  ignoreEos: true,
  ...{ temperature: [0, 1][i % 2], seed: i, topLogprobs: 2 },
}));

/** Bits, not only choices. */
const visible = ({ ids, logprobs }: Answered) => ({ ids, logprobs });

let plain: Subject;
const alone: ReturnType<typeof visible>[] = [];

beforeAll(async () => {
  plain = await openEngine({ ...SIZES, prefixCache: false });
  for (const request of requests) alone.push(visible(await ask(plain.door, request)));
});
afterAll(() => plain?.door.close());

async function withEngine<T>(options: EngineOptions, run: (subject: Subject) => Promise<T>) {
  const subject = await openEngine({ ...SIZES, ...options });
  try {
    const result = await run(subject);
    await settled(subject);
    return result;
  } finally {
    await subject.door.close();
  }
}

const together = async ({ door }: Subject) =>
  (await Promise.all(requests.map((request) => ask(door, request)))).map(visible);

const plansOf = ({ steps }: Subject): WorkPlan[] => steps.map(({ plan }) => plan);

const convolutions = () =>
  layerGroups(plain.engine.plan.spec).findIndex(({ taps }) => taps !== undefined);

test("requests that run together answer as they do alone", async () => {
  await withEngine({}, async (subject) => {
    expect(await together(subject)).toEqual(alone);
    expect(Math.max(...plansOf(subject).map(({ rows }) => rows.length))).toBe(4);
  });
});

test("a sequence that decodes holds the blocks of its last tokens, and no more", async () => {
  const group = convolutions();
  await withEngine({}, async (subject) => {
    await ask(subject.door, { prompt: ids(90, 8), maxTokens: 40, ignoreEos: true });
    const held = plansOf(subject).flatMap(({ rows }) =>
      rows
        .filter(({ tokens }) => tokens.to - tokens.from === 1)
        .map(({ tokens, blockTables }) => {
          const numHeld = blockTables[group].filter((block) => block > 0).length;
          return [numHeld, tokens.from % B < 2 ? 2 : 1];
        }),
    );
    expect(held.length).toBeGreaterThan(35);
    for (const [numHeld, needed] of held) expect(numHeld).toBe(needed);
  });
});

test.each([
  { name: "computed again", options: {} },
  { name: "swapped to the host", options: { hostKvBytes: 1e9 } },
  { name: "cut by layers", options: { cutBy: "layers", quantumMs: 1 } as const },
])("who is taken back answers as if nothing had happened: $name", async ({ options }) => {
  const forced = { forcePreemptionEvery: 3, ...options };
  await withEngine(forced, async (subject) => {
    for (const [i, request] of requests.entries())
      expect(visible(await ask(subject.door, request))).toEqual(alone[i]);
    expect(await together(subject)).toEqual(alone);
    const preempted = plansOf(subject).flatMap(({ preempted }) => preempted);
    expect(preempted.length).toBeGreaterThan(requests.length);
    const { swappedBlocks } = (await subject.engine.metrics()).total;
    if ("hostKvBytes" in options) expect(swappedBlocks).toBeGreaterThan(0);
    else expect(swappedBlocks).toBe(0);
  });
});

test("nor where all of a prompt is computed again", async () => {
  const options = { forcePreemptionEvery: 3, prefixCache: false };
  await withEngine(options, async (subject) => {
    const short = requests.slice(0, 4);
    const answers = await Promise.all(short.map((request) => ask(subject.door, request)));
    expect(answers.map(visible)).toEqual(alone.slice(0, 4));
  });
});

test("requests that need more blocks than there are answer all the same", async () => {
  const { weightBytes, activationBytes, kv } = plain.engine.plan;
  const blockBytes = kv.groups.reduce((sum, group) => sum + groupBlockBytes(group), 0);
  // All requests at once would need more.
  const memoryBudgetBytes = weightBytes + activationBytes + 10 * blockBytes;
  await withEngine({ memoryBudgetBytes }, async (subject) => {
    expect(await together(subject)).toEqual(alone);
  });
});

test("a prompt that begins as another did is computed from there on", async () => {
  const prompt = ids(150, 5);
  const ending = (shared: number): GenerateRequest => ({
    prompt: [...prompt.slice(0, shared), ...ids(40, shared)],
    ...{ maxTokens: 10, ignoreEos: true, topLogprobs: 2, temperature: 1, seed: 9 },
  });
  await withEngine({}, async (subject) => {
    await ask(subject.door, { prompt, maxTokens: 3 });
    await settled(subject);
    for (const [shared, hit] of [
      [150, 4 * B],
      [128, 4 * B],
      [97, 3 * B],
      [70, 2 * B],
    ]) {
      const numSteps = subject.steps.length;
      const answer = visible(await ask(subject.door, ending(shared)));
      await settled(subject);
      expect(subject.steps[numSteps].plan.rows[0].tokens.from).toBe(hit);
      expect(answer).toEqual(visible(await ask(plain.door, ending(shared))));
    }
  });
});

test.each([7, 32, 66, 70])(
  "several answers to a prompt of %i tokens, computed once",
  async (length) => {
    const request: GenerateRequest = {
      ...{ prompt: ids(length, 40 + length), maxTokens: 12, ignoreEos: true },
      ...{ temperature: 2, seed: 5, topLogprobs: 2 },
    };
    await withEngine({}, async (subject) => {
      const chunks = [];
      for await (const chunk of subject.door.generate({ ...request, n: 3 })) chunks.push(chunk);
      for (const index of [0, 1, 2]) {
        const own = chunks.filter((chunk) => chunk.index === index);
        const single = await ask(plain.door, { ...request, seed: 5 + index });
        expect(own.flatMap(({ tokenIds }) => tokenIds)).toEqual(single.ids);
        expect(own.flatMap(({ logprobs }) => logprobs ?? [])).toEqual(single.logprobs);
      }
      const rows = plansOf(subject).flatMap(({ rows }) => rows);
      const computed = rows.reduce((sum, { tokens }) => sum + tokens.to - tokens.from, 0);
      // The prompt once but for its last token, which each answer computes for itself. Where the first
      // answer has passed the block of a tap, two tokens behind it, the others begin at the block before.
      expect(computed).toBe(length - 1 + 3 * 12 + (length % B === 2 ? 2 : 0));
    });
  },
);
