// Metrics and trace from a loop whose every time is known: where plans lie on the GPU, what is kept,
// and that no amount of work makes it more.

import { describe, expect, test } from "vitest";
import { engineMetrics } from "../../runtime/engine-metrics.ts";
import type { SequenceStart } from "../../runtime/live-sequence.ts";
import { Ring } from "../../runtime/ring.ts";
import { Telemetry } from "../../runtime/telemetry.ts";
import { type TraceSlice, traceOf } from "../../runtime/trace.ts";
import { Scheduler, type WorkPlan } from "../../scheduler/index.ts";

const START_MS = 5000;

class Loop {
  nowMs = START_MS;
  #planId = 0;
  readonly telemetry = new Telemetry({
    numStages: 4,
    scheduler: new Scheduler({ numLayers: 1, kvGroups: [{ kind: "full", numBlocks: 9 }] }),
    now: () => this.nowMs,
    model: "test",
    adapter: "none",
  });

  add(id: number, numPromptTokens: number, scheduling: SequenceStart["scheduling"] = {}): void {
    const promptIds = Array.from({ length: numPromptTokens }, () => 1);
    this.telemetry.onAdd(id, { promptIds, scheduling } as unknown as SequenceStart, this.nowMs);
  }

  plan(
    rows: readonly (readonly [id: number, from: number, to: number])[],
    preempted = [] as number[],
  ) {
    const plan: WorkPlan = {
      id: this.#planId++,
      preempted,
      rows: rows.map(([sequenceId, from, to]) => ({
        ...{ sequenceId, tokens: { from, to }, stages: { from: 0, to: 4 } },
        ...{ kind: "compute", sample: true, blockTables: [] },
      })),
      copies: [],
      swapOut: [],
      swapIn: [],
      predictedMs: 5,
      submissions: [{ to: 4, predictedMs: 5 }],
    };
    this.telemetry.onPlan(plan, this.nowMs);
    return plan;
  }

  commit(plan: WorkPlan, submittedMs: number, gpuMs: number, readMs: number): void {
    this.nowMs = readMs;
    this.telemetry.onCommit(
      plan,
      { submittedMs, gpuMs, readMs, submissionMs: [gpuMs] },
      plan.rows.filter(({ sample }) => sample).map(() => 1),
    );
  }

  get metrics() {
    return engineMetrics(...this.telemetry.measured);
  }

  slices(tid: number): TraceSlice[] {
    const { traceEvents } = traceOf(this.telemetry.traced());
    return traceEvents.filter(
      (event): event is TraceSlice => event.ph === "X" && event.tid === tid,
    );
  }
}

/** Milliseconds since the start. */
const spans = (slices: readonly TraceSlice[]) =>
  slices.map(({ name, ts, dur }) => [name, ts / 1000, (ts + dur) / 1000]);

describe("a loop that runs ahead", () => {
  const loop = new Loop();
  loop.add(1, 10, { priority: "agent", client: "a" });
  loop.nowMs += 4;
  const first = loop.plan([[1, 0, 10]]);
  const second = loop.plan([[1, 10, 11]]);
  const third = loop.plan([[1, 11, 12]]);
  // Submitted together; the GPU runs one after the other, and the host hears 2 ms later.
  loop.commit(first, START_MS + 5, 10, START_MS + 17);
  loop.commit(second, START_MS + 5, 4, START_MS + 21);
  loop.telemetry.onEnd(1, "finished", loop.nowMs);
  loop.commit(third, START_MS + 5, 4, START_MS + 25);

  test("has each plan where the GPU can have run it", () => {
    expect(spans(loop.slices(0))).toEqual([
      ["1 row", 5, 15],
      ["1 row", 15, 19],
      ["1 row", 19, 23],
    ]);
    expect(spans(loop.slices(1))).toEqual([
      ["queued", 0, 4],
      ["prefill", 5, 15],
      ["decode", 15, 19],
    ]);
  });

  test("knows how late its results were, and how wrong its costs", () => {
    const { recent, total } = loop.metrics;
    expect(recent.submissionMs).toMatchObject({ n: 3, mean: 6, p50: 4, p99: 10 });
    expect(recent.readbackLagMs).toEqual({ n: 3, mean: 2, p50: 2, p95: 2, p99: 2 });
    expect(recent.readbackLagSteps).toMatchObject({ n: 3, mean: 1, p99: 2 });
    expect(recent.predictionError).toMatchObject({ n: 3, mean: (0.5 + 0.25 + 0.25) / 3 });
    expect(recent.tokensPerStep).toMatchObject({ n: 3, mean: 4 });
    expect(total).toMatchObject({ steps: 3, gpuMs: 18, computedTokens: 12 });
  });

  test("gives tokens to readers when they are read back, and none after the end", () => {
    const { recent, total } = loop.metrics;
    expect(total).toMatchObject({ sampledTokens: 2, overshootTokens: 1 });
    const { agent } = recent.requests.classes;
    expect(agent).toMatchObject({
      ...{ finished: 1, queueMs: { p50: 4 }, ttftMs: { p50: 17 } },
      ...{ itlMs: { n: 1, p50: 4 }, e2eMs: { p50: 21 } },
    });
    expect(recent.spanMs).toBe(21);
  });
});

describe("a request that is taken back while its plans are in flight", () => {
  const loop = new Loop();
  loop.add(1, 10);
  const before = loop.plan([[1, 0, 8]]);
  loop.nowMs += 1;
  loop.add(2, 3);
  const taken = loop.plan([[2, 0, 3]], [1]);
  loop.nowMs += 1;
  const again = loop.plan([[1, 4, 10]]);
  loop.commit(before, START_MS, 10, START_MS + 10);
  loop.commit(taken, START_MS + 1, 10, START_MS + 20);
  loop.commit(again, START_MS + 2, 10, START_MS + 30);
  loop.nowMs = START_MS + 40;

  test("has no two slices at once", () => {
    expect(spans(loop.slices(1))).toEqual([
      ["queued", 0, 0],
      ["prefill", 0, 10],
      ["preempted", 10, 10],
      ["prefill", 20, 30],
    ]);
  });

  test("counts what is computed again, behind what the prefix cache kept", () => {
    expect(loop.metrics.total).toMatchObject({
      ...{ preemptions: 1, recomputedTokens: 4, prefixHitTokens: 0, computedTokens: 17 },
    });
  });
});

test("a request that waits is shown until now, and until it was aborted", () => {
  const loop = new Loop();
  loop.add(1, 10);
  loop.nowMs += 7;
  expect(spans(loop.slices(1))).toEqual([["queued", 0, 7]]);
  loop.telemetry.onEnd(1, "aborted", loop.nowMs);
  loop.nowMs += 7;
  expect(spans(loop.slices(1))).toEqual([["queued", 0, 7]]);
  expect(loop.slices(1)[0].args).toEqual({ end: "aborted" });
});

test("rejected requests count, in their class, and take no time", () => {
  const loop = new Loop();
  loop.telemetry.onReject({ promptIds: [1, 2], scheduling: { priority: "background" } });
  const { total, recent } = loop.metrics;
  expect(total).toMatchObject({ requests: 1, rejected: 1, finished: 0 });
  expect(recent.requests.classes.background).toMatchObject({ rejected: 1, promptTokens: 2 });
  expect(recent.spanMs).toBe(0);
});

describe("a trace of the latest", () => {
  const loop = new Loop();
  loop.add(1, 10, { client: "a" });
  loop.commit(loop.plan([[1, 0, 10]]), START_MS, 10, START_MS + 10);
  loop.telemetry.onEnd(1, "finished", loop.nowMs);
  loop.add(2, 10, { client: "b" });
  loop.commit(loop.plan([[2, 0, 10]]), START_MS + 20, 10, START_MS + 30);

  test("leaves out what ended before, and its track", () => {
    const { traceEvents } = traceOf(loop.telemetry.traced({ sinceMs: 10 }));
    const slices = traceEvents.filter((event): event is TraceSlice => event.ph === "X");
    expect(slices.map(({ tid, name, ts }) => [tid, name, ts])).toEqual([
      [0, "1 row", 20_000],
      [2, "prefill", 20_000],
    ]);
    const names = traceEvents.filter(({ name }) => name === "thread_name");
    expect(names.map(({ tid, args }) => [tid, args])).toEqual([
      [0, { name: "GPU: none" }],
      [2, { name: "request 2: interactive, 10 prompt tokens", client: "b" }],
    ]);
  });
});

describe("however much is served, what is kept is bounded", () => {
  test("in requests, steps and slices", () => {
    const loop = new Loop();
    for (let id = 1; id <= 6000; id++) {
      loop.add(id, 10);
      const plan = loop.plan([[id, 0, 10]]);
      loop.commit(plan, loop.nowMs, 1, loop.nowMs + 1);
      loop.telemetry.onEnd(id, "finished", loop.nowMs);
    }
    const { total, recent } = loop.metrics;
    expect(total).toMatchObject({ requests: 6000, finished: 6000, sampledTokens: 6000 });
    expect(recent.requests.overall).toMatchObject({ requests: 512, sampledTokens: 512 });
    expect(recent.submissionMs.n).toBe(1024);
    // Of the latest requests, each served in a millisecond.
    expect(recent.spanMs).toBe(512);
    const { traceEvents } = traceOf(loop.telemetry.traced());
    const slices = traceEvents.filter(({ ph }) => ph === "X");
    expect(slices).toHaveLength(16_384);
    expect(slices.at(-1)).toMatchObject({ name: "prefill", tid: 6000 });
    const tracks = new Set(slices.map(({ tid }) => tid));
    expect(traceEvents).toHaveLength(slices.length + 1 + 2 * tracks.size);
  });

  test("in tokens, though answers are long", () => {
    const loop = new Loop();
    for (let id = 1; id <= 3; id++) {
      loop.add(id, 1);
      for (let token = 0; token < 30_000; token++)
        loop.commit(loop.plan([[id, token, token + 1]]), loop.nowMs, 1, loop.nowMs + 1);
      loop.telemetry.onEnd(id, "finished", loop.nowMs);
    }
    expect(loop.metrics.total.sampledTokens).toBe(90_000);
    expect(loop.metrics.recent.requests.overall).toMatchObject({
      ...{ requests: 2, sampledTokens: 60_000 },
    });
  });

  test("by a ring that forgets its oldest", () => {
    const ring = new Ring<number>(3);
    expect([...ring]).toEqual([]);
    for (const n of [1, 2]) ring.push(n);
    expect([...ring]).toEqual([1, 2]);
    for (const n of [3, 4, 5, 6, 7]) ring.push(n);
    expect([...ring]).toEqual([5, 6, 7]);
  });
});
