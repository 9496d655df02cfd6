// `weft bench serve` on the reference device: the fields, loads, traces, and figures worked out by
// hand from an engine that answers on time.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { closedLoop, openLoop, type Service } from "../../apps/cli/serve-load.ts";
import { poissonArrivals, scaledTo, withPrompts } from "../../apps/cli/serve-workload.ts";
import { clientService, readHardware, seededRandom } from "../../scheduler/index.ts";
import { tinyModel } from "./tiny-model.ts";
import { weft, weftJson } from "./weft.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-bench-serve-"));
afterAll(() => rmSync(folder, { recursive: true }));

const BENCH = ["bench", "serve", "--model", tinyModel(), "--device", "reference"];
const SMALL = ["--requests", "6", "--longest", "24"];

test("gives every field for each number of clients and each load", async () => {
  const args = [...BENCH, ...SMALL, "--concurrency", "1,3", "--load", "0.5"];
  const { adapter, runs, ...about } = await weftJson(args);
  expect(adapter).toContain("reference");
  expect(about).toMatchObject({ device: "reference", trace: "built-in", seed: 0, model: BENCH[3] });
  expect(about.longest).toBeGreaterThan(12);
  expect(about.longest).toBeLessThanOrEqual(24);
  expect(about.capacityRequestsPerS).toBeGreaterThan(0);
  expect(runs.map(({ load }: { load: unknown }) => load)).toEqual(["closed", "closed", 0.5]);
  expect(runs.slice(0, 2).map((run: { concurrency: number }) => run.concurrency)).toEqual([1, 3]);
  for (const run of runs) {
    expect(run.requests).toBe(6);
    expect(run.aggregateTokPerS).toBeGreaterThan(0);
    const good = (1000 * run.attainment * run.requests) / run.makespanMs;
    expect(run.goodput).toBeCloseTo(good, 9);
    expect(run.ttftMs.p50).toBeGreaterThan(0);
    expect(run.ttftMs.p95).toBeGreaterThanOrEqual(run.ttftMs.p50);
    expect(run.ttftMs.p99).toBeGreaterThanOrEqual(run.ttftMs.p95);
    expect(run.itlMs.p99).toBeGreaterThanOrEqual(run.itlMs.p50);
    expect([run.preemptions, run.recomputedTokens, run.overshootTokens]).toEqual([0, 0, 0]);
    for (const share of [run.attainment, run.jain]) expect(share >= 0 && share <= 1).toBe(true);
    expect(run.gpuBusy).toBeGreaterThan(0);
  }
});

test("a table on stdout with the seed, progress on stderr", async () => {
  const args = [...BENCH, ...SMALL, "--concurrency", "2", "--seed", "11"];
  const { status, stdout, stderr } = await weft(args);
  expect(status).toBe(0);
  const [adapter, workload, head, row, ...more] = stdout.trimEnd().split("\n");
  expect(adapter).toContain("reference");
  expect(workload).toMatch(/workload built-in up to \d+ tokens, seed 11$/);
  expect(head).toMatch(/^load +at once +requests +tok\/s .* Jain$/);
  expect(row).toMatch(/^closed +2 +6 +\d/);
  expect(more).toEqual([]);
  expect(stderr).toMatch(/seed 11\n2 at once\n$/);
});

test("a profile of what plans cost, which the simulator takes", async () => {
  const profile = join(folder, "here.json");
  const args = ["--requests", "30", "--longest", "48", "--concurrency", "1,3"];
  await weftJson([...BENCH, ...args, "--profile", profile]);
  const { gpu, model } = readHardware(readFileSync(profile, "utf8"));
  expect(model).toMatchObject({ hiddenSize: 64, bytesPerWeight: 4, bytesPerKvValue: 4 });
  expect("planMs" in gpu && gpu.spread.length).toBe(20);
  const simulation = ["simulate", "--hardware", profile, "--requests", "20"];
  const { policies } = await weftJson([...simulation, "--policies", "past-future"]);
  expect(policies[0].makespanMs).toBeGreaterThan(0);
  const nowhere = [...BENCH, "--profile", join(folder, "nowhere", "p.json")];
  expect((await weft(nowhere)).stderr).toMatch(/--profile: there is no folder .*nowhere; create/);
});

test("lengths of a trace, cut to the first requests", async () => {
  const trace = join(folder, "trace.csv");
  const lines = [30, 10, 20].map((n, i) => `2023-11-16 18:15:0${i},${n},${n / 10}`);
  writeFileSync(trace, ["TIMESTAMP,ContextTokens,GeneratedTokens", ...lines].join("\n"));
  const args = [...BENCH, "--concurrency", "1", "--trace", trace];
  expect(await weftJson(args)).toMatchObject({
    ...{ trace: "trace.csv", longest: 33 },
    runs: [{ requests: 3 }],
  });
  expect(await weftJson([...args, "--requests", "2", "--longest", "22"])).toMatchObject({
    ...{ longest: 22 },
    runs: [{ requests: 2 }],
  });
});

test("a trace that is not there is said before anything is loaded", async () => {
  const { status, stdout, stderr } = await weft([...BENCH, "--trace", join(folder, "no.csv")]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/there is no file .*no\.csv/);
});

describe("the workload", () => {
  const lengths = [
    { arrivalMs: 0, numPromptTokens: 300, outputTokens: 100 },
    { arrivalMs: 0, numPromptTokens: 20, outputTokens: 1 },
  ];

  test("is scaled by one factor, to no length below 1", () => {
    expect(scaledTo(40, lengths)).toMatchObject([
      { numPromptTokens: 30, outputTokens: 10 },
      { numPromptTokens: 2, outputTokens: 1 },
    ]);
  });

  test("that fits is left as it is", () => {
    expect(scaledTo(400, lengths)).toEqual(lengths);
  });

  test("has prompts of its lengths that a seed makes again", () => {
    const prompts = withPrompts(lengths, 50, seededRandom(3));
    expect(prompts.map(({ prompt }) => prompt.length)).toEqual([300, 20]);
    expect(Math.max(...prompts[0].prompt)).toBeLessThan(50);
    expect(withPrompts(lengths, 50, seededRandom(3))).toEqual(prompts);
    expect(withPrompts(lengths, 50, seededRandom(4))).not.toEqual(prompts);
  });

  test("arrives at the mean rate, with gaps like those of independent arrivals", () => {
    const arrivals = poissonArrivals(20_001, 50, seededRandom(5));
    const gaps = arrivals.slice(1).map((ms, i) => ms - arrivals[i]);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(arrivals[0]).toBe(0);
    expect(mean).toBeGreaterThan(19.5);
    expect(mean).toBeLessThan(20.5);
    // An exponential distribution's deviation is its mean.
    expect(Math.sqrt(variance) / mean).toBeGreaterThan(0.97);
    expect(Math.sqrt(variance) / mean).toBeLessThan(1.03);
  });
});

describe("a load", () => {
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  /** A token each 10 ms, and a count of the requests that are there at once. */
  function service(fail = false): Service & { mostAtOnce: number; clients: Set<string> } {
    let atOnce = 0;
    const self = {
      mostAtOnce: 0,
      clients: new Set<string>(),
      signal: new AbortController().signal,
      engine: {
        async *generate({ maxTokens, client }: { maxTokens?: number; client?: string }) {
          self.clients.add(client!);
          self.mostAtOnce = Math.max(self.mostAtOnce, ++atOnce);
          for (let i = 0; i < maxTokens!; i++) {
            await sleep(10);
            if (fail) throw new Error("the engine broke");
            yield { index: 0, text: "", tokenIds: [1] };
          }
          atOnce -= 1;
        },
      },
    };
    return self;
  }

  const requests = Array.from({ length: 7 }, (_, i) => ({ prompt: [1, 2], outputTokens: 1 + i }));

  test("of clients keeps each busy until requests run out", async () => {
    const busy = service();
    const { records, startMs, busyUntilMs, endMs } = await closedLoop(busy, requests, 3);
    expect(busy.mostAtOnce).toBe(3);
    expect(records.map(({ tokenMs }) => tokenMs.length).sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(busy.clients).toEqual(new Set(records.map(({ client }) => client)));
    expect(busy.clients.size).toBe(3);
    expect(records.every(({ end }) => end === "finished")).toBe(true);
    expect(busyUntilMs).toBeGreaterThan(startMs);
    expect(busyUntilMs).toBeLessThan(endMs);
    expect([...clientService(records, startMs, endMs).values()].reduce((a, b) => a + b)).toBe(
      2 * 7 + 2 * 28,
    );
  });

  test("of arrivals waits for nobody, and counts from when a request was due", async () => {
    const busy = service();
    const arrivals = [0, 1, 2, 3, 4, 5, 6];
    const { records, startMs, mostAtOnce } = await openLoop(busy, requests, arrivals);
    expect(records.map(({ arrivalMs }) => arrivalMs - startMs)).toEqual(arrivals);
    expect(mostAtOnce).toBe(busy.mostAtOnce);
    expect(mostAtOnce).toBeGreaterThan(3);
  });

  test("ends with the first error, not after the last arrival", async () => {
    const arrivals = requests.map((_, i) => 20_000 * i);
    await expect(openLoop(service(true), requests, arrivals)).rejects.toThrow("the engine broke");
    await expect(closedLoop(service(true), requests, 3)).rejects.toThrow("the engine broke");
  });
});
