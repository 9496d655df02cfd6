// Agents that wait for their tools, beside readers who keep the cache busy: what a hold saves, and
// what it costs the others. `npm run soak -- agents` has readers come at several rates.

import { describe, expect, test } from "vitest";
import { goodput } from "../../../scheduler/metrics/index.ts";
import { seededRandom } from "../../../scheduler/random.ts";
import { hardwareProfiles, type Replay, replay } from "../../../scheduler/simulator/index.ts";
import type { TraceRequest } from "../../../scheduler/simulator/trace.ts";
import { report, scale } from "../../harness/soak.ts";

const hardware = hardwareProfiles["desktop-1.7b"];
const NUM_AGENTS = 3;
const NUM_STEPS = 6;
const NUM_READERS = 220;
const LEVEL = { ttftMs: 10_000, maxGapMs: 1500 };

interface Workload {
  readonly requests: TraceRequest[];
  /** Of each agent, its steps in order. */
  readonly agents: readonly (readonly number[])[];
  readonly readers: readonly number[];
}

/**
 * Each agent begins with 1,200 tokens; a step answers with 60 to 120, and a tool that takes 20 to 60 s
 * adds 50 to 250. Readers come at random with up to 1,500 tokens each, and get about 60.
 */
function workload(seed: number, readerGapMs: number, holdMs?: number): Workload {
  const random = seededRandom(seed);
  const between = (low: number, high: number) => Math.round(low + (high - low) * random());
  const requests: TraceRequest[] = [];
  const readers = Array.from({ length: NUM_READERS }, (_, i) => {
    const arrivalMs = (requests.at(-1)?.arrivalMs ?? 0) - readerGapMs * Math.log(1 - random());
    requests.push({
      arrivalMs,
      numPromptTokens: between(100, 1500),
      outputTokens: between(20, 100),
    });
    return i;
  });
  const agents = Array.from({ length: NUM_AGENTS }, (_, agent) => {
    let numTokens = 1200;
    return Array.from({ length: NUM_STEPS }, (_, step) => {
      const id = requests.length;
      const outputTokens = between(60, 120);
      requests.push({
        ...{ session: `agent ${agent}`, priority: "agent", holdMs, outputTokens },
        arrivalMs: step === 0 ? 3000 * agent : 1000 * between(20, 60),
        numPromptTokens: numTokens,
        after: step === 0 ? undefined : id - 1,
      });
      numTokens += outputTokens + between(50, 250);
      return id;
    });
  });
  return { requests, agents, readers };
}

const KV_TOKENS = 12_288;

function run(seed: number, readerGapMs: number, holdMs?: number) {
  const { requests, agents, readers } = workload(seed, readerGapMs, holdMs);
  const done = replay(requests, {
    hardware,
    kvTokens: KV_TOKENS,
    policy: { quantumMs: 100 },
    seed,
  });
  return { again: recomputed(done, agents), good: goodOf(done, readers) };
}

/** Tokens of prompts and answers of earlier steps that a later step computed again. */
function recomputed({ requests }: Replay, agents: Workload["agents"]): number {
  let sum = 0;
  for (const steps of agents)
    for (let i = 1; i < steps.length; i++) {
      const [before, step] = [requests[steps[i - 1]], requests[steps[i]]];
      const known = before.numPromptTokens + before.request.outputTokens;
      sum += Math.max(0, known - step.numPrefixHitTokens);
    }
  return sum;
}

function goodOf({ requests, makespanMs }: Replay, readers: readonly number[]): number {
  return goodput(
    readers.map((id) => requests[id]),
    makespanMs,
    LEVEL,
  ).attainment;
}

// Of readers that come every 900 ms, 99 % are served in time beside agents who hold nothing: as many
// as there is memory for. What holds cost when there are more readers than that is only reported.
const gapsMs = scale("agents", 0, 1) === 1 ? [1400, 1000, 900, 800] : [900];

describe.each(gapsMs)("a reader every %i ms", (readerGapMs) => {
  test("holds save most of what agents would compute again, and cost readers little", () => {
    const numSeeds = scale("agents", 3, 20);
    const sums = { seeds: numSeeds, again: 0, againHeld: 0, good: 0, goodHeld: 0 };
    for (let seed = 1; seed <= numSeeds; seed++) {
      const without = run(seed, readerGapMs);
      const held = run(seed, readerGapMs, 90_000);
      sums.again += without.again;
      sums.againHeld += held.again;
      sums.good += without.good / numSeeds;
      sums.goodHeld += held.good / numSeeds;
    }
    const saved = 1 - sums.againHeld / sums.again;
    const cost = 1 - sums.goodHeld / sums.good;
    report("agents", { readerGapMs, ...sums, saved, cost });
    expect(saved).toBeGreaterThan(0.8);
    if (readerGapMs >= 900) expect(cost).toBeLessThan(0.05);
  });
});
