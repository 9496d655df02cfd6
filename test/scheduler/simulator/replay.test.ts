// The replay: every token is served, nothing depends on anything but its inputs, and the clock is
// the cost model's.

import { describe, expect, test } from "vitest";
import { requestFigures } from "../../../scheduler/metrics/index.ts";
import { arriveAtLoad, backlog } from "../../../scheduler/simulator/arrivals.ts";
import { hardwareCosts, hardwareProfiles } from "../../../scheduler/simulator/hardware.ts";
import { policies } from "../../../scheduler/simulator/policies.ts";
import { type ReplayOptions, replay } from "../../../scheduler/simulator/replay.ts";
import { syntheticTrace } from "../../../scheduler/simulator/synthetic.ts";
import type { TraceRequest } from "../../../scheduler/simulator/trace.ts";

const hardware = hardwareProfiles["desktop-1.7b"];
const options: ReplayOptions = {
  hardware,
  kvTokens: 16_384,
  policy: policies["past-future"],
  seed: 0,
};
const request = (numPromptTokens: number, outputTokens: number, arrivalMs = 0): TraceRequest => ({
  arrivalMs,
  numPromptTokens,
  outputTokens,
});

describe.each(Object.entries(policies))("%s", (_, policy) => {
  const trace = backlog(syntheticTrace(150));

  test("serves every token, in order", () => {
    const { requests, makespanMs, kvUtilization } = replay(trace, {
      ...options,
      policy,
    });
    expect(requests.every(({ end }) => end === "finished")).toBe(true);
    expect(requests.map(({ tokenMs }) => tokenMs.length)).toEqual(
      trace.map(({ outputTokens }) => outputTokens),
    );
    for (const { tokenMs } of requests)
      expect(tokenMs.every((ms, i) => i === 0 || ms > tokenMs[i - 1])).toBe(true);
    expect(Math.max(...requests.flatMap(({ tokenMs }) => tokenMs))).toBeLessThanOrEqual(makespanMs);
    expect(kvUtilization).toBeGreaterThan(0.3);
    expect(kvUtilization).toBeLessThan(1);
  });

  test("computes each token once, but for what was lost and what came too late", () => {
    const run = replay(trace, { ...options, policy });
    const needed = trace.reduce(
      (sum, { numPromptTokens, outputTokens }) => sum + numPromptTokens + outputTokens - 1,
      0,
    );
    const { recomputedTokens, preemptions } = requestFigures(run.requests);
    expect(run.computedTokens).toBe(needed + recomputedTokens + run.surplusTokens);
    expect(recomputedTokens > 0).toBe(preemptions > 0);
  });

  test("is the same each time", () => {
    const run = () => replay(trace, { ...options, policy, seed: 5 });
    expect(run()).toEqual(run());
  });
});

test("memory too small for all at once makes optimistic admission take some back", () => {
  const trace = backlog(syntheticTrace(150));
  const run = replay(trace, { ...options, policy: policies.optimistic });
  expect(run.requests.some(({ numPreemptions }) => numPreemptions > 0)).toBe(true);
});

describe("the clock", () => {
  const costs = hardwareCosts(hardware);
  const { readbackMs } = hardware.gpu;

  test("a lone request takes what its plans cost, and the readback", () => {
    const { requests, steps, surplusTokens, makespanMs } = replay([request(100, 3, 50)], options);
    const prompt = { numTokens: 100, numKvTokens: 100, numAttended: 5050 };
    const decode = (context: number) =>
      costs.predictMs({ numTokens: 1, numKvTokens: context, numAttended: context });
    const first = 50 + costs.predictMs(prompt);
    const expected = [first, first + decode(101), first + decode(101) + decode(102)];
    expected.forEach((ms, i) => {
      expect(requests[0].tokenMs[i]).toBeCloseTo(ms + readbackMs, 6);
    });
    // One plan was made before its last token was read.
    expect({ steps, surplusTokens }).toEqual({ steps: 4, surplusTokens: 1 });
    expect(makespanMs).toBeGreaterThan(expected[2] + readbackMs);
  });

  test("readback slower than plans is run ahead of, so the GPU does not wait", () => {
    const slow = { ...hardware, gpu: { ...hardware.gpu, readbackMs: 100 } };
    const { requests } = replay([request(32, 20)], { ...options, hardware: slow });
    const { tokenMs } = requests[0];
    const decodeMs = costs.predictMs({ numTokens: 1, numKvTokens: 40, numAttended: 40 });
    for (let i = 1; i < tokenMs.length; i++)
      expect(tokenMs[i] - tokenMs[i - 1]).toBeCloseTo(decodeMs, 0);
  });

  test("an idle GPU waits for the next arrival", () => {
    const { requests } = replay([request(10, 2), request(10, 2, 60_000)], options);
    expect(requests[1].tokenMs[0] - 60_000).toBeCloseTo(requests[0].tokenMs[0], 6);
  });
});

test("what can never fit is refused, and the others are served", () => {
  const { requests } = replay([request(20_000, 5), request(10, 5)], options);
  expect(requests.map(({ end }) => end)).toEqual(["rejected", "finished"]);
  expect(requests.map(({ tokenMs }) => tokenMs.length)).toEqual([0, 5]);
});

test("a later completion of the same client ends the first, and its memory is free", () => {
  const completion = { priority: "completion", client: "editor" } as const;
  const first = { ...request(10, 500), ...completion };
  const { requests, kvUtilization } = replay(
    [first, { ...request(10, 2, 1000), ...completion }, request(10, 2, 60_000)],
    options,
  );
  expect(requests.map(({ end }) => end)).toEqual(["aborted", "finished", "finished"]);
  expect(requests[0].tokenMs.at(-1)).toBeLessThanOrEqual(1000);
  expect(requests[1].tokenMs).toHaveLength(2);
  // 500 tokens for a second, and nothing for most of a minute.
  expect(kvUtilization).toBeLessThan(0.001);
});

describe("arrivals", () => {
  const trace = [0, 1, 2, 10, 20, 100].map((arrivalMs, i) => request(10 + i, 5, arrivalMs));
  const gaps = (requests: readonly TraceRequest[]) =>
    requests.slice(1).map(({ arrivalMs }, i) => arrivalMs - requests[i].arrivalMs);

  test("a backlog is all there at once", () => {
    expect(backlog(trace).map(({ arrivalMs }) => arrivalMs)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("the span is the time at capacity over the load", () => {
    const half = arriveAtLoad(trace, 0.5, 1000, 0);
    expect(half.at(-1)!.arrivalMs).toBeCloseTo(2000, 9);
    expect(gaps(half).map((gap) => gap / 20)).toEqual(
      gaps(trace).map((gap) => expect.closeTo(gap)),
    );
    expect(half.map(({ numPromptTokens }) => numPromptTokens)).toEqual([10, 11, 12, 13, 14, 15]);
  });

  test("a seed turns the gaps round and keeps each, with its neighbours", () => {
    const turned = [1, 2, 3, 4, 5, 6].map((seed) => gaps(arriveAtLoad(trace, 1, 100, seed)));
    const twice = [...gaps(trace), ...gaps(trace)];
    for (const some of turned) {
      const from = (first: number) =>
        some.every((gap, i) => Math.abs(gap - twice[first + i]) < 1e-9);
      expect(gaps(trace).some((_, first) => from(first))).toBe(true);
    }
    expect(new Set(turned.map(String)).size).toBeGreaterThan(2);
  });

  test("requests of one moment have no load", () => {
    expect(() => arriveAtLoad(backlog(trace), 1, 1000, 0)).toThrow(/came at one moment/);
  });
});

test("a closed loop: each client's next request comes with its answer, in the requests' order", () => {
  const requests = Array.from({ length: 12 }, (_, i) => request(40 + 10 * i, 5 + (i % 4), 1e9));
  const { requests: records } = replay(requests, { ...options, clients: 3 });
  expect(records.map(({ tokenMs }) => tokenMs.length)).toEqual(
    requests.map(({ outputTokens }) => outputTokens),
  );
  const ends = new Map<string, number>();
  for (const { client, arrivalMs, tokenMs } of records) {
    expect(arrivalMs).toBe(ends.get(client) ?? 0);
    ends.set(client, tokenMs[tokenMs.length - 1]);
  }
  expect([...ends.keys()]).toEqual(["client 0", "client 1", "client 2"]);
  const arrivals = records.map(({ arrivalMs }) => arrivalMs);
  expect(arrivals).toEqual(arrivals.toSorted((a, b) => a - b));
});

test("a closed loop goes on after a request that is too long", () => {
  const requests = [request(60, 3), request(20_000, 3), request(60, 3)];
  const { requests: records } = replay(requests, { ...options, clients: 1 });
  expect(records.map(({ end }) => end)).toEqual(["finished", "rejected", "finished"]);
});

describe("measured hardware", () => {
  const gpu = {
    ...{ planMs: 2, rowMs: 1, tileMs: 10, attendedMs: 0, spread: [1] },
    ...{ gapMs: 3, hostMs: 7, readbackMs: 5 },
  };
  const measured = { ...options, hardware: { gpu, model: hardware.model } };

  test("a lone request waits for the host, its plans and the readback", () => {
    // One tile, then a token at a time; the host is ahead from the second plan on.
    const { requests } = replay([{ ...request(20, 3), maxTokens: 3 }], measured);
    const firstMs = 7 + (2 + 10) + 5;
    expect(requests[0].tokenMs).toEqual([firstMs, firstMs + 3 + 3, firstMs + 2 * (3 + 3)]);
  });

  test("plans draw their times from the spread, by the seed", () => {
    const trace = backlog(syntheticTrace(20));
    const run = (seed: number, spread: number[]) => {
      const noisy = { gpu: { ...gpu, hostMs: 0, spread }, model: hardware.model };
      return replay(trace, { ...options, hardware: noisy, seed }).makespanMs;
    };
    const makespans = [1, 2, 3].map((seed) => run(seed, [0.5, 0.9, 1.6]));
    expect(new Set(makespans).size).toBe(3);
    expect(run(1, [0.5, 0.9, 1.6])).toBe(makespans[0]);
    for (const ms of makespans) {
      expect(ms / run(0, [1])).toBeGreaterThan(0.9);
      expect(ms / run(0, [1])).toBeLessThan(1.1);
    }
  });
});
