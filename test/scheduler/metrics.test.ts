// Figures of served requests, against numbers worked out by hand.

import { describe, expect, test } from "vitest";
import {
  clientService,
  clientShares,
  distribution,
  e2eMs,
  goodput,
  jainIndex,
  meets,
  mtpotMs,
  queueMs,
  type RequestRecord,
  requestRecord,
  summarize,
  tpotMs,
  ttftMs,
} from "../../scheduler/metrics/index.ts";

let nextId = 0;
const record = (
  arrivalMs: number,
  tokenMs: number[],
  more: Partial<RequestRecord> = {},
): RequestRecord => ({
  ...requestRecord({ id: nextId++, arrivalMs, numPromptTokens: 10 }),
  startedMs: arrivalMs + 1,
  tokenMs,
  end: "finished",
  ...more,
});

describe("a distribution", () => {
  test("is nearest rank", () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(distribution(values)).toEqual({ n: 200, mean: 100.5, p50: 100, p95: 190, p99: 198 });
  });

  test("of one value is that value", () => {
    expect(distribution([7])).toEqual({ n: 1, mean: 7, p50: 7, p95: 7, p99: 7 });
  });

  test("of nothing says so", () => {
    expect(distribution([])).toEqual({ n: 0, mean: 0, p50: 0, p95: 0, p99: 0 });
  });

  test("sorts by size, not by text, and leaves its input alone", () => {
    const values = [10, 9, 100];
    expect(distribution(values).p50).toBe(10);
    expect(values).toEqual([10, 9, 100]);
  });
});

describe("times of a request", () => {
  test("follow their definitions", () => {
    const request = record(100, [150, 160, 190, 200], { startedMs: 120 });
    expect(queueMs(request)).toBe(20);
    expect(ttftMs(request)).toBe(50);
    expect(tpotMs(request)).toBeCloseTo(50 / 3, 12);
    expect(mtpotMs(request)).toBe(30);
    expect(e2eMs(request)).toBe(100);
  });

  test("of one token have no gap", () => {
    const request = record(0, [5]);
    expect([ttftMs(request), e2eMs(request)]).toEqual([5, 5]);
    expect([tpotMs(request), mtpotMs(request)]).toEqual([undefined, undefined]);
  });

  test("are unknown before they have happened", () => {
    const waiting = requestRecord({ id: 0, arrivalMs: 3, numPromptTokens: 1 });
    for (const time of [queueMs, ttftMs, tpotMs, mtpotMs, e2eMs])
      expect(time(waiting)).toBeUndefined();
  });
});

describe("a summary", () => {
  const records = [
    record(0, [10, 20, 60]),
    record(0, [100, 105], { priority: "agent", numPreemptions: 2, numRecomputedTokens: 12 }),
    record(0, [30], { priority: "agent", end: "aborted", numPrefixHitTokens: 8 }),
    record(0, [], { priority: "background", end: "rejected", startedMs: undefined }),
  ];
  const { overall, classes } = summarize(records);

  test("counts every request once, by how it ended", () => {
    const { requests, finished, aborted, rejected } = overall;
    expect([requests, finished, aborted, rejected]).toEqual([4, 2, 1, 1]);
    const counts = Object.values(classes).map((figures) => figures.requests);
    expect(counts.reduce((a, b) => a + b)).toBe(4);
    expect(Object.keys(classes)).toEqual(["interactive", "agent", "background"]);
  });

  test("pools gaps, so that a long answer weighs more than a short one", () => {
    expect(overall.itlMs).toMatchObject({ n: 3, mean: 55 / 3, p50: 10 });
    expect(overall.tpotMs).toMatchObject({ n: 2, mean: (25 + 5) / 2 });
    expect(overall.mtpotMs).toMatchObject({ n: 2, p50: 5, p99: 40 });
  });

  test("has first tokens of all, totals of finished ones", () => {
    expect(overall.ttftMs).toMatchObject({ n: 3, mean: 140 / 3 });
    expect(overall.e2eMs).toMatchObject({ n: 2, p50: 60, p99: 105 });
    expect(overall.queueMs).toMatchObject({ n: 3, p99: 1 });
  });

  test("adds up what preemption and the cache did", () => {
    expect(overall).toMatchObject({
      ...{ preemptions: 2, mostPreemptions: 2, recomputedTokens: 12, prefixHitTokens: 8 },
      ...{ promptTokens: 40, sampledTokens: 6 },
    });
    expect(classes.interactive).toMatchObject({ preemptions: 0, sampledTokens: 3 });
  });

  test("is plain data", () => {
    expect(structuredClone({ overall, classes })).toEqual({ overall, classes });
    expect(JSON.parse(JSON.stringify(overall))).toEqual(overall);
  });
});

describe("a service level", () => {
  const request = record(0, [400, 450, 500, 650]);
  test.each([
    [{}, true],
    [{ ttftMs: 400 }, true],
    [{ ttftMs: 399 }, false],
    [{ maxGapMs: 150 }, true],
    [{ maxGapMs: 149 }, false],
    [{ totalMs: 650 }, true],
    [{ totalMs: 649 }, false],
    [{ p99ItlMs: 150 }, true],
    [{ p99ItlMs: 149 }, false],
    [{ ttftMs: 400, totalMs: 1 }, false],
  ])("%j: %j", (level, expected) => {
    expect(meets(request, level)).toBe(expected);
  });

  test("forgives one gap in a hundred with p99ItlMs, none with maxGapMs", () => {
    const tokenMs = Array.from({ length: 201 }, (_, i) => 10 * i + (i > 100 ? 90 : 0));
    expect(meets(record(0, tokenMs), { p99ItlMs: 10 })).toBe(true);
    expect(meets(record(0, tokenMs), { maxGapMs: 99 })).toBe(false);
  });

  test("is met by nobody who was cut off", () => {
    expect(meets(record(0, [1, 2], { end: "aborted" }), {})).toBe(false);
    expect(meets(record(0, [], { end: "rejected" }), {})).toBe(false);
    expect(meets(record(0, [1], { end: undefined }), {})).toBe(false);
  });
});

describe("goodput", () => {
  const records = [
    record(0, [100, 200]),
    record(0, [600, 700, 800]),
    record(0, [600, 700, 800], { priority: "agent" }),
    record(0, [100], { end: "aborted" }),
  ];

  test("counts requests and tokens per second that met their class's level", () => {
    // The first is quick; the second is late for a reader, the third not for an agent.
    expect(goodput(records, 2000)).toEqual({ requestsPerS: 1, tokensPerS: 2.5, attainment: 0.5 });
  });

  test("takes one level for all", () => {
    expect(goodput(records, 2000, { totalMs: 200 }).attainment).toBe(0.25);
  });

  test("of nothing is nothing", () => {
    expect(goodput([], 0)).toEqual({ requestsPerS: 0, tokensPerS: 0, attainment: 0 });
  });
});

describe("fairness", () => {
  test("is 1 among equals, 1/n when one has all", () => {
    expect(jainIndex([3, 3, 3])).toBeCloseTo(1, 12);
    expect(jainIndex([5, 0, 0, 0])).toBeCloseTo(0.25, 12);
    expect(jainIndex([1, 2])).toBeCloseTo(9 / 10, 12);
    expect(jainIndex([])).toBe(1);
  });

  const a = record(0, [10, 20, 30, 40], { client: "a" });
  const b = record(0, [35, 45, 55, 65], { client: "b" });

  test("weighs sampled tokens twice, and a prompt with its first token", () => {
    expect(clientService([a, b], 0, 35)).toEqual(
      new Map([
        ["a", 10 + 2 * 3],
        ["b", 10 + 2],
      ]),
    );
    expect(clientService([a, b], 35, 45)).toEqual(
      new Map([
        ["a", 2],
        ["b", 2],
      ]),
    );
  });

  test("sets service against demand while the backlog lasts", () => {
    const shares = clientShares([a, b, record(90, [95], { client: "late" })], 20);
    expect(shares).toEqual(
      new Map([
        ["a", 14 / 18],
        ["b", 0],
      ]),
    );
    expect(jainIndex(shares.values())).toBeCloseTo(0.5, 12);
  });
});
