// Speculation never changes a token: drafts by fewer layers, or by what was said before, greedy and
// sampled, alone, in a batch and taken back between draft and verification, give the ids of plain decoding.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { chiSquare } from "../kernels/sample-chi-square.ts";
import { ask, randomIds, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { opener, type Subject } from "./subject.ts";

/** In soak all of them on lavapipe; SwiftShader takes a tenth of a second a token, and runs some there alone. */
const numPrompts = {
  lavapipe: scale("speculation", 20, 300),
  reference: scale("speculation", 0, 40),
  swiftshader: scale("speculation", 0, 10),
  chromium: 0,
}[project()];
const MAX_TOKENS = scale("speculation", 16, 48);

/** A plan that is mostly right, one that is mostly wrong, and from what was said. */
const POLICIES: Readonly<Record<string, LayerPolicy>> = {
  near: { name: "self-speculation", draft: { skipMlp: [4], skip: [6] }, always: true },
  far: { name: "self-speculation", always: true, maxDraftTokens: 3 },
  lookup: { name: "prompt-lookup", always: true },
};

/** Held-out items, and sums and lists like them. */
function prompts(engine: Engine): number[][] {
  const random = seededRandom(3);
  const items = readFileSync(new URL("../fixtures/demo/heldout.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { messages: object[]; tools?: object[] });
  const number = () => Math.floor(random() * 100);
  const words = ["apple", "bread", "chair", "lamp", "pear", "stone", "wolf"];
  const made = Array.from({ length: 180 }, (_, i) => {
    const list = words.toSorted(() => random() - 0.5).slice(0, 2 + (i % 4));
    const content =
      i % 2 === 0 ? `What is ${number()} + ${number()}?` : `Sort these words: ${list.join(", ")}`;
    return { messages: [{ role: "user", content }], tools: undefined };
  });
  const all = [...items, ...made];
  const step = Math.floor(all.length / numPrompts);
  const { template, tokenizer } = engine.text;
  return Array.from({ length: numPrompts }, (_, i) => {
    const { messages, tools } = all[i * step];
    const text = template.render({ messages: messages as never, tools });
    return tokenizer.encode(text, { addSpecialTokens: false });
  });
}

const models = project() === "lavapipe" ? (["demo", "demo-moe"] as const) : (["demo"] as const);

describe.skipIf(numPrompts === 0).each(models)(
  "%s (on lavapipe; elsewhere in soak: slow)",
  (name) => {
    const open = opener({
      platform: nodePlatform,
      folder: demoFolder(name),
      device: project() === "reference" ? "reference" : "gpu",
    });
    let main: Subject;
    let takesBack: Subject;
    let requests: GenerateRequest[];
    let plain: number[][];

    beforeAll(async () => {
      const device = await openDevice();
      main = await open({}, device);
      // All that run may draft at once, and a round takes other numbers of plans than the period.
      takesBack = await open({ forcePreemptionEvery: 5, maxRows: 3 }, device);
      requests = prompts(main.engine).map((prompt, i) => ({
        ...{ prompt, maxTokens: MAX_TOKENS, seed: i },
        temperature: i % 3 === 0 ? 0.9 : 0,
        topP: i % 2 === 0 ? 0.95 : 1,
      }));
      plain = await answers(main, requests);
    }, 600_000);
    afterAll(async () => {
      await main?.engine.close();
    });

    const answers = (of: Subject, asked: readonly GenerateRequest[], layerPolicy?: LayerPolicy) =>
      Promise.all(
        asked.map(
          async (request) => (await ask(of.door, { ...request, layerPolicy })).ids as number[],
        ),
      );

    // Experts take nothing of how drafts are made: of the sparse model, one policy in the gate.
    const isSoak = scale("speculation", 0, 1) === 1;
    test.each(Object.keys(POLICIES).slice(0, name === "demo" || isSoak ? 3 : 1))(
      "%s: all at once",
      async (policy) => {
        const before = (await main.engine.metrics()).total;
        expect(await answers(main, requests, POLICIES[policy])).toEqual(plain);
        const { draftRounds, draftedTokens, acceptedTokens } = (await main.engine.metrics()).total;
        const drafted = draftedTokens - before.draftedTokens;
        const accepted = acceptedTokens - before.acceptedTokens;
        const rounds = draftRounds - before.draftRounds;
        report("speculation", { model: name, policy, drafted, accepted, rounds });
        expect(accepted).toBeGreaterThan(0);
        expect(drafted).toBeGreaterThanOrEqual(accepted);
        await settled(main);
      },
      600_000,
    );

    test("taken back between drafts and their verification", async () => {
      const { total } = await takesBack.engine.metrics();
      const short: LayerPolicy = { ...POLICIES.near, maxDraftTokens: 2 } as LayerPolicy;
      expect(await answers(takesBack, requests, short)).toEqual(plain);
      const { preemptions, acceptedTokens } = (await takesBack.engine.metrics()).total;
      expect(preemptions - total.preemptions).toBeGreaterThan(numPrompts / 4);
      expect(acceptedTokens).toBeGreaterThan(0);
      const drafts = takesBack.steps.flatMap(({ plan }) =>
        plan.rows.flatMap(({ kind, sequenceId }) => (kind === "draft" ? [sequenceId] : [])),
      );
      // Somebody was taken back whose last row had drafted.
      const last = new Map<number, string>();
      let inMidDraft = 0;
      for (const { plan } of takesBack.steps) {
        for (const id of plan.preempted) if (last.get(id) === "draft") inMidDraft += 1;
        for (const { sequenceId, kind } of plan.rows) last.set(sequenceId, kind);
      }
      expect(drafts.length).toBeGreaterThan(0);
      expect(inMidDraft).toBeGreaterThan(0);
      await settled(takesBack);
    }, 600_000);

    test("one after another, beside plain requests, with logprobs", async () => {
      for (const [i, request] of requests.slice(0, scale("speculation", 3, 40)).entries()) {
        const beside = answers(main, requests.slice(i, i + 2));
        const own = { ...request, topLogprobs: 2 };
        const drafted = await ask(main.door, { ...own, layerPolicy: POLICIES.near });
        const alone = await ask(main.door, own);
        expect(drafted.ids).toEqual(plain[i]);
        expect(drafted.logprobs).toEqual(alone.logprobs);
        expect(await beside).toEqual(plain.slice(i, i + 2));
      }
    }, 600_000);

    test("sampled many times over, they are drawn from the model's distribution", async () => {
      // Nonsense, so that much may follow.
      const prompt = randomIds(8, 4);
      const count = scale("speculation", 40, 2000);
      const request = (seed: number) => ({
        prompt,
        seed,
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
      });
      const asked = Array.from({ length: count }, (_, seed) => ({
        ...request(seed),
        maxTokens: 3,
      }));
      const drafted = await answers(main, asked, POLICIES.far);
      expect(drafted).toEqual(await answers(main, asked));
      // The second token, by the likeliest first: what follows a draft or is one.
      const firsts = new Map<number, number[][]>();
      for (const ids of drafted) firsts.set(ids[0], [...(firsts.get(ids[0]) ?? []), ids]);
      const [first, followed] = [...firsts].sort(([, a], [, b]) => b.length - a.length)[0];
      const next = { ...request(0), prompt: [...prompt, first], maxTokens: 1 };
      const [likeliest] = (await ask(main.door, { ...next, topLogprobs: 20 })).logprobs;
      const weights = likeliest.slice(1).map(({ logprob }) => Math.exp(logprob));
      const rest = 1 - weights.reduce((sum, weight) => sum + weight, 0);
      const ids = likeliest.slice(1).map(({ tokenId }) => tokenId);
      const counts = [...ids, -1].map(
        (id) =>
          followed.filter(([, second]) => (id < 0 ? !ids.includes(second) : second === id)).length,
      );
      const { pValue } = chiSquare(counts, Float64Array.from([...weights, Math.max(rest, 0)]));
      report("speculation", { model: name, draws: count, followed: followed.length, pValue });
      expect(pValue).toBeGreaterThan(1e-5);
    }, 600_000);

    test("penalties go on without drafts, and say the same", async () => {
      const request = { ...requests[0], repetitionPenalty: 1.3 };
      const [alone] = await answers(main, [request]);
      const before = (await main.engine.metrics()).total.draftRounds;
      expect((await answers(main, [request], POLICIES.near))[0]).toEqual(alone);
      expect((await main.engine.metrics()).total.draftRounds).toBe(before);
    });
  },
);
