// What an engine says about itself: its counts are those of the requests it was given, its times
// those that a reader saw, and its trace opens anywhere.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineMetrics } from "../../runtime/metrics.ts";
import type { Trace, TraceSlice } from "../../runtime/trace.ts";
import { project } from "../harness/project.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const openEngine = opener({
  platform: nodePlatform,
  folder: project() === "lavapipe" ? demoFolder() : shallowFolder(demoFolder(), 1),
  device: project() === "reference" ? "reference" : "gpu",
});

const SIZES = { maxTokensPerPlan: 64, maxRows: 4, quantumMs: Number.POSITIVE_INFINITY };

let plain: Subject;
let forced: Subject;

beforeAll(async () => {
  plain = await openEngine(SIZES);
  forced = await openEngine({ ...SIZES, forcePreemptionEvery: 3 }, plain.engine.device);
}, 300_000);

afterAll(async () => {
  await forced?.door.close();
  await plain?.door.close();
});

/** What the counters grew by. */
async function growth(subject: Subject, work: () => Promise<unknown>) {
  const before = (await subject.engine.metrics()).total;
  const numSteps = subject.steps.length;
  await work();
  await settled(subject);
  const after = (await subject.engine.metrics()).total;
  const total = Object.fromEntries(
    Object.entries(after).map(([name, count]) => [
      name,
      count - before[name as keyof typeof after],
    ]),
  ) as unknown as EngineMetrics["total"];
  return { total, plans: subject.steps.slice(numSteps).map(({ plan }) => plan) };
}

const slicesOf = ({ traceEvents }: Trace): TraceSlice[] => traceEvents.filter((e) => e.ph === "X");

const sum = (list: readonly number[]): number => list.reduce((total, n) => total + n, 0);

describe("counters", () => {
  test("are those of the requests", async () => {
    const sizes = [
      [5, 4],
      [70, 3],
      [12, 1],
      [9, 6],
      [20, 2],
    ];
    const { total, plans } = await growth(plain, () =>
      Promise.all(
        sizes.map(([promptTokens, maxTokens], i) =>
          ask(plain.door, { prompt: randomIds(promptTokens, i), maxTokens, ignoreEos: true }),
        ),
      ),
    );
    expect(total).toMatchObject({
      ...{ requests: 5, finished: 5, aborted: 0, rejected: 0 },
      ...{ sampledTokens: 16, preemptions: 0, recomputedTokens: 0, overshootTokens: 0 },
      // The last token of an answer is sampled and never computed.
      computedTokens: sum(sizes.map(([promptTokens, maxTokens]) => promptTokens + maxTokens - 1)),
      steps: plans.length,
    });
    expect(total.gpuMs).toBeGreaterThan(0);
  });

  test("tell what was sampled past the end from what readers got", async () => {
    const prompt = randomIds(6, 20);
    const { ids } = await ask(plain.door, {
      prompt,
      maxTokens: 6,
      temperature: 0,
      ignoreEos: true,
    });
    const stop = { stopTokenIds: [ids[3]], ignoreEos: true };
    const numVisible = ids.indexOf(ids[3]) + 1;
    const { total, plans } = await growth(plain, () =>
      ask(plain.door, { prompt, maxTokens: 40, temperature: 0, ...stop }),
    );
    const numSampled = plans.flatMap(({ rows }) => rows.filter(({ sample }) => sample)).length;
    expect(total).toMatchObject({
      ...{ finished: 1, sampledTokens: numVisible, overshootTokens: numSampled - numVisible },
      computedTokens: prompt.length + numSampled - 1,
    });
    expect(total.overshootTokens).toBeLessThanOrEqual(8);
  });

  test("of a request that finds its prompt's beginning computed", async () => {
    const beginning = randomIds(64, 30);
    const one = (seed: number) =>
      ask(plain.door, { prompt: [...beginning, ...randomIds(3, seed)], maxTokens: 1 });
    await one(31);
    const { total } = await growth(plain, () => one(32));
    expect(total).toMatchObject({ prefixHitTokens: 64, computedTokens: 3, recomputedTokens: 0 });
  });

  test("of those that ended otherwise", async () => {
    const { total } = await growth(plain, async () => {
      const tooLong = { prompt: "x", maxTokens: 10_000_000 };
      await refused(ask(plain.door, tooLong), "request_too_long");
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const answer = ask(
        plain.door,
        { prompt: "x", maxTokens: 200, ignoreEos: true },
        options,
        () => controller.abort(),
      );
      await refused(answer, "aborted");
      const completion = { prompt: "x", maxTokens: 3, priority: "completion" } as const;
      const superseded = refused(ask(plain.door, { ...completion, maxTokens: 200 }), "superseded");
      await ask(plain.door, completion);
      await superseded;
    });
    expect(total).toMatchObject({ requests: 4, finished: 1, aborted: 2, rejected: 1 });
  });

  test("of preemption", async () => {
    const requests = [40, 10, 25].map((promptTokens, i) => ({
      prompt: randomIds(promptTokens, 40 + i),
      ...{ maxTokens: 12, ignoreEos: true },
    }));
    const { total, plans } = await growth(forced, () =>
      Promise.all(requests.map((request) => ask(forced.door, request))),
    );
    const reached = new Map<number, number>();
    let again = 0;
    for (const { sequenceId: id, tokens } of plans.flatMap(({ rows }) => rows)) {
      again += Math.max(0, Math.min(tokens.to, reached.get(id) ?? 0) - tokens.from);
      reached.set(id, Math.max(tokens.to, reached.get(id) ?? 0));
    }
    expect(total.preemptions).toBe(sum(plans.map(({ preempted }) => preempted.length)));
    expect(total.preemptions).toBeGreaterThan(3);
    expect(total.recomputedTokens).toBe(again);
    expect(total.recomputedTokens).toBeGreaterThan(0);
    expect(total).toMatchObject({ finished: 3, sampledTokens: 36, overshootTokens: 0 });
    const { overall } = (await forced.engine.metrics()).recent.requests;
    expect(overall.preemptions).toBe(total.preemptions);
    expect(overall.recomputedTokens).toBe(again);
  });
});

describe("times", () => {
  test("are those that a reader saw", async () => {
    const engine = await openEngine(SIZES, plain.engine.device);
    const startedMs = performance.now();
    const seenMs: number[] = [];
    const request = { prompt: randomIds(9, 50), maxTokens: 8, ignoreEos: true };
    await ask(engine.door, request, undefined, ({ tokenIds }) => {
      if (tokenIds.length > 0) seenMs.push(performance.now() - startedMs);
    });
    const { recent } = await engine.engine.metrics();
    const { overall, classes } = recent.requests;
    expect(classes).toEqual({ interactive: overall });
    expect(overall).toMatchObject({ requests: 1, finished: 1, sampledTokens: 8, promptTokens: 9 });
    const { queueMs, ttftMs, itlMs, tpotMs, mtpotMs, e2eMs } = overall;
    expect([queueMs, ttftMs, itlMs, tpotMs, mtpotMs, e2eMs].map(({ n }) => n)).toEqual([
      ...[1, 1, 7, 1, 1, 1],
    ]);
    expect(queueMs.p50).toBeLessThanOrEqual(ttftMs.p50);
    expect(ttftMs.p50).toBeGreaterThan(0);
    expect(ttftMs.p50).toBeLessThanOrEqual(seenMs[0]);
    expect(e2eMs.p50).toBeLessThanOrEqual(seenMs[7]);
    expect(ttftMs.p50 + 7 * itlMs.mean).toBeCloseTo(e2eMs.p50, 6);
    expect(tpotMs.p50).toBeCloseTo(itlMs.mean, 6);
    expect(mtpotMs.p50).toBe(itlMs.p99);
    expect(recent.spanMs).toBeCloseTo(e2eMs.p50, 6);
    expect(recent.tokensPerStep).toMatchObject({ n: 8, mean: 2, p50: 1, p99: 9 });
    expect(recent.submissionMs.n).toBe(8);
    expect(recent.submissionMs.p99).toBeLessThanOrEqual(seenMs[7]);
    await settled(engine);
  });

  test("do not depend on how soon the reader comes back", async () => {
    const engine = await openEngine(SIZES, plain.engine.device);
    const request = { prompt: randomIds(5, 60), maxTokens: 4, ignoreEos: true };
    const chunks = engine.door.generate(request)[Symbol.asyncIterator]();
    await chunks.next();
    await expect
      .poll(async () => (await engine.engine.metrics()).total.finished, { timeout: 30_000 })
      .toBe(1);
    const { e2eMs, itlMs } = (await engine.engine.metrics()).recent.requests.overall;
    await new Promise((resolve) => setTimeout(resolve, 100));
    while (!(await chunks.next()).done);
    const later = (await engine.engine.metrics()).recent.requests.overall;
    expect([later.e2eMs, later.itlMs]).toEqual([e2eMs, itlMs]);
    expect(itlMs.n).toBe(3);
  });
});

describe("a snapshot", () => {
  test("knows who runs, who waits and what they hold, and forgets them", async () => {
    const { engine, door } = plain;
    const controller = new AbortController();
    const answers = Array.from({ length: 6 }, (_, i) =>
      refused(
        ask(
          door,
          { prompt: randomIds(4, 70 + i), maxTokens: 200, ignoreEos: true },
          { signal: controller.signal },
        ),
        "aborted",
      ),
    );
    await expect
      .poll(async () => (await engine.metrics()).now.running, { timeout: 30_000 })
      .toBe(4);
    const { waiting, kv, quantumMs } = (await engine.metrics()).now;
    expect(waiting).toBe(2);
    expect(kv).toHaveLength(engine.plan.kv.groups.length);
    for (const share of kv) expect(share > 0 && share <= 1).toBe(true);
    controller.abort();
    await Promise.all(answers);
    await settled(plain);
    const now = {
      waiting: 0,
      running: 0,
      plansInFlight: 0,
      kv: kv.map(() => 0),
      queueMs: { interactive: 0, completion: 0, agent: 0, background: 0 },
      quantumMs,
    };
    expect((await engine.metrics()).now).toEqual(now);
  });

  test("is plain data, and stays as it was", async () => {
    const metrics = await plain.engine.metrics();
    const copy = structuredClone(metrics);
    expect(JSON.parse(JSON.stringify(metrics))).toEqual(metrics);
    await ask(plain.door, { prompt: "x", maxTokens: 2 });
    expect(metrics).toEqual(copy);
  });
});

describe("the trace", () => {
  test("is JSON in the trace-event format", async () => {
    const trace = JSON.parse(JSON.stringify(await plain.engine.trace()));
    expect(trace.displayTimeUnit).toBe("ms");
    const named = new Map(
      trace.traceEvents
        .filter(({ name }: TraceSlice) => name === "thread_name")
        .map(({ tid, args }: TraceSlice) => [tid, args.name]),
    );
    expect(named.get(0)).toMatch(/^GPU: /);
    for (const { ph, name, pid, tid, ts, dur, args } of slicesOf(trace)) {
      expect(ph).toBe("X");
      expect([name, typeof pid, typeof args]).toEqual([expect.any(String), "number", "object"]);
      expect(Number.isSafeInteger(ts) && ts >= 0).toBe(true);
      expect(Number.isSafeInteger(dur) && dur >= 0).toBe(true);
      expect(named.has(tid), `track ${tid} has a name`).toBe(true);
    }
  });

  test.each([
    ["of an engine", () => plain],
    ["of one that takes back all the time", () => forced],
  ])("%s has no two slices at once on one track", async (_, subject) => {
    const all = slicesOf(await subject().engine.trace());
    const tracks = [...new Set(all.map(({ tid }) => tid))];
    expect(tracks.length).toBeGreaterThan(3);
    for (const track of tracks) {
      const slices = all.filter(({ tid }) => tid === track);
      slices.slice(1).forEach(({ ts, name }, i) => {
        const before = slices[i];
        expect(ts, `${name} after ${before.name}`).toBeGreaterThanOrEqual(before.ts + before.dur);
      });
    }
  });

  test("follows a request from its arrival to its last token", async () => {
    const request = { prompt: randomIds(100, 80), maxTokens: 5, ignoreEos: true };
    const before = Math.max(...slicesOf(await plain.engine.trace()).map(({ tid }) => tid));
    const { plans } = await growth(plain, () => ask(plain.door, request));
    const slices = slicesOf(await plain.engine.trace());
    const own = slices.filter(({ tid }) => tid > before);
    expect(own.map(({ name }) => name)).toEqual(["queued", "prefill", "prefill", "decode"]);
    expect(own[1].args).toMatchObject({ from: 0, to: 64 });
    expect(own[2].args).toMatchObject({ from: 64, to: 100 });
    // The first of five tokens comes of the prompt.
    expect(own[3].args).toEqual({ tokens: 4, end: "finished" });
    const gpu = slices.filter(({ tid }) => tid === 0).slice(-plans.length);
    expect(gpu.map(({ args }) => args.plan)).toEqual(plans.map(({ id }) => id));
    expect(gpu.map(({ args }) => args.tokens)).toEqual([64, 36, 1, 1, 1, 1]);
    for (const { args } of gpu) {
      expect(args.gpuMs).toBeGreaterThan(0);
      expect(args.predictedMs).toBeGreaterThan(0);
    }
    // A chunk lies where its plan ran.
    expect([own[1].ts, own[1].dur]).toEqual([gpu[0].ts, gpu[0].dur]);
  });

  test("shows each preemption until the request goes on", async () => {
    const own = slicesOf(await forced.engine.trace()).filter(({ tid }) => tid > 0);
    const numTaken = own.filter(({ name }) => name === "preempted").length;
    expect(numTaken).toBe((await forced.engine.metrics()).total.preemptions);
    for (const tid of new Set(own.map((slice) => slice.tid))) {
      const names = own.filter((slice) => slice.tid === tid).map(({ name }) => name);
      names.forEach((name, i) => {
        // "decode" where the prefix cache still had all but the newest token.
        if (name === "preempted") expect(names[i + 1]).toMatch(/^(prefill|decode)$/);
      });
    }
  });

  test("shows what is still going on", async () => {
    const controller = new AbortController();
    const answers = Array.from({ length: 5 }, (_, i) =>
      refused(
        ask(
          plain.door,
          { prompt: randomIds(4, 90 + i), maxTokens: 200, ignoreEos: true },
          { signal: controller.signal },
        ),
        "aborted",
      ),
    );
    // A request has no open slice between its prompt's last chunk and its first decoded token.
    const openSlices = async () => slicesOf(await plain.engine.trace()).slice(-5);
    await expect
      .poll(async () => (await openSlices()).map(({ name }) => name), {
        timeout: 30_000,
        interval: 5,
      })
      .toEqual(["decode", "decode", "decode", "decode", "queued"]);
    expect((await plain.engine.metrics()).now).toMatchObject({ running: 4, waiting: 1 });
    expect(new Set((await openSlices()).map(({ tid }) => tid)).size).toBe(5);
    controller.abort();
    await Promise.all(answers);
    await settled(plain);
    const ends = slicesOf(await plain.engine.trace()).filter(({ args }) => args.end === "aborted");
    expect(ends.length).toBeGreaterThanOrEqual(5);
  });
});
