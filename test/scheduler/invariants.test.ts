// Random schedules against a device whose memory is real: whatever the depth, the quantum, the
// chunks, the neighbours, the aborts and the preemptions, each request yields the ids that it yields
// alone; so it does with layers left out, and whatever drafts guess.

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type PlanWork,
  PRIORITIES,
  type SchedulerConfig,
  SchedulerError,
  type WorkPlan,
} from "../../scheduler/index.ts";
import { report, scale } from "../harness/soak.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { alternationOf, planOf } from "./layer-plans.ts";
import { ScriptedDrafter } from "./scripted-drafter.ts";
import { Serving } from "./serving.ts";

const window = fc.integer({ min: 1, max: 70 });
const numBlocks = fc.integer({ min: 5, max: 24 });
const group = fc.oneof(
  fc.record({ kind: fc.constant("full" as const), numBlocks }),
  fc.record({ kind: fc.constant("window" as const), window, numBlocks }),
);

const config: fc.Arbitrary<SchedulerConfig> = fc
  .record({
    kvGroups: fc.array(group, { minLength: 1, maxLength: 3 }),
    blockTokens: fc.constantFrom(16 as const, 32 as const),
    maxTokensPerPlan: fc.integer({ min: 1, max: 120 }),
    maxRows: fc.integer({ min: 1, max: 6 }),
    maxRunAhead: fc.integer({ min: 1, max: 8 }),
    msPerToken: fc.constantFrom(0, 0.1, 0.5, 3),
    msPerContextToken: fc.constantFrom(0, 0.001, 0.02),
    quantumMs: fc.constantFrom(1, 8, 50),
    cutBy: fc.constantFrom("sooner" as const, "tokens" as const, "layers" as const),
    maxParkedTokens: fc.constantFrom(0, 40, 200),
    maxHostBlocks: fc.constantFrom(0, 4, 100),
    msPerCopiedToken: fc.constantFrom(0, 0.2),
  })
  .map(({ msPerToken, msPerContextToken, msPerCopiedToken, maxRows, ...rest }) => ({
    ...rest,
    // As the fake device has it.
    numLayers: rest.kvGroups.length,
    maxRows: Math.min(maxRows, rest.maxTokensPerPlan),
    costs: {
      copyMs: (numTokens: number) => msPerCopiedToken * numTokens,
      predictMs: ({ numTokens, numAttended }: PlanWork) =>
        // Below eight tokens the weights take longest, so that cuts by layers pay.
        0.5 + msPerToken * Math.max(8, numTokens) + msPerContextToken * numAttended,
    },
  }));

const policies = fc.record({
  forcePreemptionEvery: fc.constantFrom(undefined, 1, 2, 3, 7),
  admission: fc.constantFrom(
    "past-future" as const,
    "conservative" as const,
    "optimistic" as const,
  ),
  order: fc.constantFrom("priority" as const, "fcfs" as const),
  prefixCache: fc.boolean(),
});

/** What is left out, of as many layers as there are; most requests run all. */
const left = fc.constantFrom(0, 0, 0b10, 0b1, 0b1100, 0b111, 0b100001, 0b111111);
const idle = fc.constantFrom(0, 0, 0b1, 0b10);
const drafting = fc.record({
  maxDraftTokens: fc.constantFrom(0, 1, 3, 8),
  /** What nobody runs who does not say. */
  standard: fc.constantFrom(undefined, undefined, 0b10, 0b1100),
  scripts: fc.array(
    fc.record({
      max: fc.integer({ min: 1, max: 5 }),
      seed: fc.nat(),
      lefts: fc.constantFrom([], [], [0], [0b1], [0b100], [0b11, 0b1010]),
    }),
    { minLength: 2, maxLength: 2 },
  ),
});

/** What many prompts begin with, some of it or all. */
const shared = Array.from({ length: 80 }, (_, i) => (i * 389) % 1009);

/** All of one class and client, so that they start in order of arrival. */
const plain = {
  promptTokens: fc
    .tuple(
      fc.constantFrom(0, 20, 50, 80),
      fc.array(fc.nat({ max: 1008 }), { minLength: 1, maxLength: 90, size: "max" }),
    )
    .map(([numShared, own]) => [...shared.slice(0, numShared), ...own].slice(0, 90)),
  maxTokens: fc.integer({ min: 1, max: 24 }),
  stopEvery: fc.constantFrom(5, 20, 1_000_003),
  ...{ needsHost: fc.boolean(), hostDelay: fc.constantFrom(0, 0, 0, 1, 5) },
};
const urgent = {
  priority: fc.constantFrom(...PRIORITIES),
  deadlineMs: fc.constantFrom(undefined, 5, 100),
  client: fc.constantFrom(undefined, "a", "b"),
  program: fc.constantFrom(undefined, "p"),
  session: fc.constantFrom(undefined, "session 0", "session 1"),
  cacheSalt: fc.constantFrom(undefined, undefined, "s"),
  plan: fc.constantFrom(undefined, undefined, 0, 1),
  drafter: fc.constantFrom(undefined, undefined, 0, 1),
  turns: fc.option(
    fc.record({
      left: fc.constantFrom(0b1, 0b10, 0b11, 0b1100, 0b110110, 0b111111),
      filled: fc.constantFrom(0, 0, 0b1, 0b111),
      period: fc.constantFrom(2, 3, 4, 9),
    }),
    { freq: 2 },
  ),
};

function listOf<One extends object>(
  one: fc.Arbitrary<One>,
): fc.Arbitrary<(One & { id: number })[]> {
  return fc
    .array(one, { minLength: 1, maxLength: 9, size: "max" })
    .map((list) => list.map((request, id) => ({ id, ...request })));
}

/** Another answer to the same prompt. Where the parent was refused or has ended, it stands alone. */
function asForkOf(parent: FakeRequest, request: FakeRequest): FakeRequest {
  const { id: forkOf, promptTokens, cacheSalt, layerPlan } = parent;
  return { ...request, forkOf, promptTokens, cacheSalt, layerPlan };
}

const plainRequests = listOf(fc.record(plain));
/** How many requests before it the one came that it is a fork of. */
const back = fc.constantFrom(undefined, undefined, 1, 1, 2);
const requests = fc.record({
  list: listOf(fc.record({ ...plain, ...urgent, back })),
  plans: fc.tuple(fc.tuple(left, idle), fc.tuple(left, idle)),
});
type Asked = typeof requests extends fc.Arbitrary<infer One> ? One : never;
type Drafting = typeof drafting extends fc.Arbitrary<infer One> ? One : never;

/** With plans and drafters of their own: drafters remember, so each run has new ones. */
function served(
  base: SchedulerConfig,
  { list, plans }: Asked,
  { maxDraftTokens, standard, scripts }: Drafting,
): { configuration: SchedulerConfig; asked: FakeRequest[] } {
  const { numLayers, maxTokensPerPlan = 512, maxRows = 16 } = base;
  const layerPlans = plans.map(([left, idle]) => planOf(numLayers, left, idle));
  // A draft reads what was computed: it runs no layer that its request leaves out.
  const everLeft = plans.reduce((all, [left]) => all | left, standard ?? 0);
  const drafters = scripts.map(
    ({ lefts, ...script }) =>
      new ScriptedDrafter({
        ...script,
        layerPlans: lefts.map((left) => planOf(numLayers, left | everLeft)),
      }),
  );
  const configuration = {
    ...base,
    layerPlan: standard === undefined ? undefined : planOf(numLayers, standard),
    maxDraftTokens,
    maxTokensPerPlan: Math.max(maxTokensPerPlan, maxRows + maxDraftTokens),
  };
  const asked: FakeRequest[] = [];
  for (const { back, plan, drafter, turns, ...one } of list) {
    const request = {
      ...one,
      layerPlan: plan === undefined ? undefined : layerPlans[plan],
      ...(drafter !== undefined && { drafter: drafters[drafter] }),
    };
    const parent = back && asked.at(-back);
    const placed = parent ? asForkOf(parent, request) : request;
    const own = placed.layerPlan ?? configuration.layerPlan;
    // One that drafts runs the same for all its tokens.
    const alternation =
      turns && !placed.drafter ? alternationOf(base.kvGroups, turns, own) : undefined;
    asked.push({ ...placed, alternation });
  }
  return { configuration, asked };
}

/** One character an operation: add, schedule, commit, abort, hold, lose. fast-check prefers short lists unless told. */
const operations = fc.array(
  fc.record({ kind: fc.constantFrom(..."aaaasssssssssssscccccccxhl"), pick: fc.nat({ max: 8 }) }),
  { maxLength: 120, size: "max" },
);

/** Requests that the pools could never hold are refused, and the others are not affected. */
function addAll(serving: Serving, list: readonly FakeRequest[]): FakeRequest[] {
  return list.filter((request) => {
    try {
      serving.add(request);
    } catch (error) {
      if (!(error instanceof SchedulerError) || error.code !== "request_too_long") throw error;
      return false;
    }
    return true;
  });
}

/** A token of one answer beside a chunk of another's prompt. */
function isMixed({ rows }: WorkPlan): boolean {
  const isChunk = rows.map(({ tokens }) => tokens.to - tokens.from > 1);
  return isChunk.includes(true) && isChunk.includes(false);
}

function isCutByLayers({ rows }: WorkPlan): boolean {
  return rows.at(-1)!.stages.from > 0;
}

function expectOwnIds(serving: Serving, { kvGroups, layerPlan }: SchedulerConfig): void {
  for (const { request, state, ids } of serving.progress.values()) {
    const expected = expectedIds(request, kvGroups, layerPlan);
    // An aborted request has a beginning of its answer, the others all of it.
    expect(ids).toEqual(state === "aborted" ? expected.slice(0, ids.length) : expected);
  }
}

test("random arrivals, depths, commits and aborts: invariants hold, ids are each one's own", () => {
  const counts = {
    schedules: 0,
    plans: 0,
    mixedPlans: 0,
    cutPlans: 0,
    finished: 0,
    aborted: 0,
    preempted: 0,
    hit: 0,
    swapped: 0,
    forked: 0,
    skipping: 0,
    alternating: 0,
    drafting: 0,
    accepted: 0,
    brokenRounds: 0,
    seenByHost: 0,
    acceptedOfSeen: 0,
  };
  fc.assert(
    fc.property(config, policies, requests, drafting, operations, (...drawn) => {
      const [base, chosen, list, drafts, script] = drawn;
      const { configuration, asked } = served({ ...base, ...chosen }, list, drafts);
      const serving = new Serving(configuration);
      const toAdd = [...asked];
      for (const { kind, pick } of script) {
        if (kind === "a") addAll(serving, toAdd.splice(0, 1));
        else if (kind === "s") serving.schedule();
        else if (kind === "c") serving.commit();
        else if (kind === "l") serving.loseDevice();
        else if (kind === "h") serving.hold(`session ${pick % 2}`, 1 + 10 * pick);
        else serving.abort(pick % Math.max(1, serving.progress.size));
      }
      addAll(serving, toAdd);
      serving.drain(configuration.maxRunAhead);
      for (const i of [0, 1]) serving.release(`session ${i}`);
      expect(serving.scheduler.freeBlocks).toEqual(
        configuration.kvGroups.map(({ numBlocks }) => numBlocks - 1),
      );
      expectOwnIds(serving, configuration);
      const ended = [...serving.progress.values()].filter(({ state }) => state === "finished");
      const events = serving.events.filter(({ reason }) => reason !== "superseded");
      expect(events).toHaveLength(ended.length);
      counts.schedules += 1;
      counts.plans += serving.plans.length;
      counts.mixedPlans += serving.plans.filter(isMixed).length;
      counts.cutPlans += serving.plans.filter(isCutByLayers).length;
      counts.finished += ended.length;
      counts.aborted += serving.progress.size - ended.length;
      for (const progress of serving.progress.values()) {
        counts.forked += Math.sign(progress.numForks);
        counts.preempted += Math.sign(progress.numPreemptions);
        counts.hit += Math.sign(progress.numHitTokens);
        counts.swapped += Math.sign(progress.numSwapIns);
        counts.skipping += progress.request.layerPlan?.runs.includes(false) ? 1 : 0;
        counts.alternating += progress.request.alternation && progress.ids.length > 2 ? 1 : 0;
        counts.drafting += Math.sign(progress.numRounds);
        counts.accepted += progress.numAccepted;
        counts.brokenRounds += Math.sign(progress.numBrokenRounds);
        if (!progress.request.needsHost) continue;
        counts.seenByHost += Math.sign(progress.numRounds);
        counts.acceptedOfSeen += progress.numAccepted;
      }
    }),
    { numRuns: scale("scheduler", 400, 40_000) },
  );
  report("scheduler", counts);
  // Otherwise the generators have drifted to where nothing happens.
  const { schedules, plans: _, ...events } = counts;
  expect(Math.min(...Object.values(events))).toBeGreaterThan(schedules / 10);
});

test("all finish within a plan per token and sublayer, in order of arrival, each computed once", () => {
  fc.assert(
    fc.property(config, plainRequests, fc.integer({ min: 1, max: 8 }), (base, list, depth) => {
      const configuration = { ...base, admission: "conservative" as const };
      const serving = new Serving({ ...configuration, maxRunAhead: depth });
      const admitted = addAll(serving, list);
      serving.drain(depth);
      let numScheduled = 0;
      const started: number[] = [];
      for (const { rows } of serving.plans)
        for (const { sequenceId, tokens, stages } of rows) {
          numScheduled += (tokens.to - tokens.from) * (stages.to - stages.from);
          if (tokens.from === 0 && stages.from === 0) started.push(sequenceId);
        }
      const progress = [...serving.progress.values()];
      // Every sampled token but the last one is computed in its turn; surplus ones count.
      const numOwed = progress.reduce(
        (sum, { request, numSampled }) => sum + request.promptTokens.length + numSampled - 1,
        0,
      );
      const numStages = 2 * base.numLayers + 2;
      expect(numScheduled).toBe(numStages * numOwed);
      expect(serving.plans.length).toBeLessThanOrEqual(numStages * numOwed);
      expect(started).toEqual(admitted.map(({ id }) => id));
      expect(progress.every(({ state }) => state === "finished")).toBe(true);
      for (const { numSampled, ids } of progress) {
        expect(numSampled).toBeGreaterThanOrEqual(ids.length);
        expect(numSampled).toBeLessThan(ids.length + depth);
      }
      expectOwnIds(serving, configuration);
    }),
    { numRuns: scale("scheduler", 400, 40_000) },
  );
});

test("at depth 1 nothing is computed in vain", () => {
  fc.assert(
    fc.property(config, plainRequests, (configuration, list) => {
      const serving = new Serving({ ...configuration, maxRunAhead: 1 });
      addAll(serving, list);
      serving.drain();
      for (const { numSampled, ids } of serving.progress.values())
        expect(numSampled).toBe(ids.length);
    }),
    { numRuns: 50 },
  );
});
