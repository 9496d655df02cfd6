// Clients that ask for more than there is: each gets its share, however much more it asks for,
// however long its requests are, and however long it was away. `npm run soak -- clients` lasts longer.

import { expect, test } from "vitest";
import {
  clientService,
  hardwareProfiles,
  jainIndex,
  policies,
  type Random,
  type ReplayOptions,
  type RequestRecord,
  replay,
  seededRandom,
  type TraceRequest,
} from "../../../scheduler/index.ts";
import { report, scale } from "../../harness/soak.ts";

const hardware = {
  gpu: hardwareProfiles["desktop-1.7b"].gpu,
  model: hardwareProfiles["laptop-0.6b"].model,
};
/** Small, so that the bound on the gap is small against what is served. */
const KV_TOKENS = 8192;
const OURS = { quantumMs: 50 };
/** Requests that each client begins with, all at once. */
const HEAP = 40;
const SPAN_MS = scale("clients", 120_000, 1_200_000);

interface Client {
  readonly client: string;
  /** Tokens offered, as a share of capacity. */
  readonly load: number;
  readonly fromMs?: number;
  /** Means; lengths are drawn evenly from half of it to one and a half. */
  readonly promptTokens: number;
  readonly outputTokens: number;
}

const run = (requests: readonly TraceRequest[], policy: ReplayOptions["policy"]) =>
  replay(requests, { hardware, kvTokens: KV_TOKENS, policy, seed: 0 });

function draw({ client, promptTokens, outputTokens }: Client, random: Random) {
  const around = (mean: number) => Math.ceil(mean * (0.5 + random()));
  return { client, numPromptTokens: around(promptTokens), outputTokens: around(outputTokens) };
}

/** Tokens per millisecond that the oracle serves when a heap of each client all wait. */
function capacityFor(clients: readonly Client[]): number {
  const random = seededRandom(0);
  const requests = clients.flatMap((client) =>
    Array.from({ length: HEAP }, () => ({ ...draw(client, random), arrivalMs: 0 })),
  );
  const tokens = requests.reduce((sum, r) => sum + r.numPromptTokens + r.outputTokens, 0);
  return tokens / run(requests, policies.oracle).makespanMs;
}

/** A heap that makes a backlog, then Poisson arrivals until the span's end. */
function offer(clients: readonly Client[], seed: number): TraceRequest[] {
  const random = seededRandom(seed);
  const capacity = capacityFor(clients);
  const requests = clients.flatMap((client) => {
    const { load, fromMs = 0, promptTokens, outputTokens } = client;
    const own: TraceRequest[] = [];
    for (let arrivalMs = fromMs; arrivalMs < SPAN_MS; ) {
      own.push({ ...draw(client, random), arrivalMs });
      const meanGapMs = (promptTokens + outputTokens) / (load * capacity);
      if (own.length >= HEAP) arrivalMs -= meanGapMs * Math.log(1 - random());
    }
    return own;
  });
  return requests.sort((a, b) => a.arrivalMs - b.arrivalMs);
}

/** A request of the client waits at every moment from its first arrival to the span's end. */
function hasBacklog(records: readonly RequestRecord[], name: string): boolean {
  const own = records.filter(({ client }) => client === name);
  const events = own.flatMap(({ arrivalMs, startedMs }): [number, number][] => [
    [arrivalMs, 1],
    [startedMs!, -1],
  ]);
  // Who comes at a moment comes before who starts then.
  events.sort(([a, more], [b, less]) => a - b || less - more);
  let waiting = 0;
  return events.every(([ms, change]) => {
    waiting += change;
    return waiting > 0 || ms >= SPAN_MS;
  });
}

/** Most that two clients' service ever differs over any part of the time since `fromMs`. */
function widestGap(records: readonly RequestRecord[], fromMs: number): number {
  const names = [...new Set(records.map(({ client }) => client))];
  const leads = names.flatMap((a, i) =>
    names.slice(i + 1).map((b) => ({ a, b, least: 0, most: 0 })),
  );
  const given = new Map(names.map((name) => [name, 0]));
  const tokens = records.flatMap(({ client, numPromptTokens, tokenMs }) =>
    tokenMs.map((ms, i) => ({ ms, client, cost: 2 + (i === 0 ? numPromptTokens : 0) })),
  );
  tokens.sort((a, b) => a.ms - b.ms);
  for (const { ms, client, cost } of tokens) {
    if (ms <= fromMs || ms > SPAN_MS) continue;
    given.set(client, given.get(client)! + cost);
    for (const pair of leads) {
      const lead = given.get(pair.a)! - given.get(pair.b)!;
      pair.least = Math.min(pair.least, lead);
      pair.most = Math.max(pair.most, lead);
    }
  }
  return Math.max(...leads.map(({ least, most }) => most - least));
}

/** Theorem 4.4 of the paper: what service may differ by while both have a backlog. */
function publishedBound(records: readonly RequestRecord[]): number {
  const longest = Math.max(...records.map(({ numPromptTokens }) => numPromptTokens));
  return 2 * Math.max(longest, 2 * KV_TOKENS);
}

function measure(clients: readonly Client[], policy: ReplayOptions["policy"], fromMs = 0) {
  const { requests } = run(offer(clients, 1), policy);
  const service = clientService(requests, fromMs, SPAN_MS);
  return {
    jain: jainIndex(service.values()),
    service: Object.fromEntries(service),
    widestGap: widestGap(requests, fromMs),
    bound: publishedBound(requests),
    haveBacklog: clients.every(({ client }) => hasBacklog(requests, client)),
  };
}

/** What both policies did, kept for the soak's report. */
function measureBoth(name: string, clients: readonly Client[], fromMs = 0) {
  const ours = measure(clients, OURS, fromMs);
  const fcfs = measure(clients, policies.fcfs, fromMs);
  report("clients", { case: name, ours, fcfs });
  expect([ours.haveBacklog, fcfs.haveBacklog]).toEqual([true, true]);
  return { ours, fcfs };
}

const lengths = { promptTokens: 300, outputTokens: 60 };

test("who offers twice as much gets no more", () => {
  const { ours, fcfs } = measureBoth("2:1", [
    { client: "greedy", load: 4 / 3, ...lengths },
    { client: "modest", load: 2 / 3, ...lengths },
  ]);
  expect(ours.jain).toBeGreaterThanOrEqual(0.98);
  expect(ours.widestGap).toBeLessThanOrEqual(ours.bound);
  expect(fcfs.jain).toBeLessThan(0.98);
  expect(fcfs.widestGap).toBeGreaterThan(fcfs.bound);
});

test("nor does whoever has longer requests", () => {
  const { ours, fcfs } = measureBoth("lengths", [
    { client: "short", load: 0.5, promptTokens: 40, outputTokens: 20 },
    { client: "asks", load: 0.5, promptTokens: 800, outputTokens: 30 },
    { client: "writes", load: 0.5, promptTokens: 100, outputTokens: 200 },
    { client: "long", load: 1, promptTokens: 1200, outputTokens: 150 },
  ]);
  expect(ours.jain).toBeGreaterThanOrEqual(0.98);
  expect(ours.widestGap).toBeLessThanOrEqual(ours.bound);
  expect(fcfs.jain).toBeLessThan(0.98);
});

// Without the lift it would be owed half the run, and get all of the other half.
test("nor does whoever was away", () => {
  const fromMs = SPAN_MS / 2;
  const { ours, fcfs } = measureBoth(
    "idle",
    [
      { client: "steady", load: 4 / 3, ...lengths },
      { client: "late", load: 1, fromMs, ...lengths },
    ],
    fromMs,
  );
  const { late, steady } = ours.service;
  expect(late / (late + steady)).toBeLessThan(0.52);
  expect(ours.jain).toBeGreaterThanOrEqual(0.98);
  expect(ours.widestGap).toBeLessThanOrEqual(ours.bound);
  expect(fcfs.jain).toBeLessThan(0.98);
});
