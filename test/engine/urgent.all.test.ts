// An urgent request in the middle of a long background prompt, on a real queue: what is submitted
// before it waits for its first id.

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { PlannedRow, WorkPlan } from "../../scheduler/index.ts";
import { Scheduler } from "../../scheduler/scheduler.ts";
import { project } from "../harness/project.ts";
import { ask, randomIds } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

const isLavapipe = project() === "lavapipe";
const QUANTUM_MS = 50;
/** A long prompt; elsewhere a shorter one and fewer layers make it long enough. */
const NUM_TOKENS = isLavapipe ? 1024 : 512;
const model = isLavapipe ? demoFolder() : shallowFolder(demoFolder(), 2);

const background = (seed: number) => ({
  prompt: randomIds(NUM_TOKENS, seed),
  ...{ maxTokens: 8, ignoreEos: true, priority: "background" as const },
});
const urgent = (seed: number) => ({ prompt: randomIds(60, seed), maxTokens: 4, ignoreEos: true });

let engine: Engine;
let scheduler: Scheduler;
const plans: WorkPlan[] = [];
/** As it was when each plan was made: under load it changes from plan to plan. */
const completionLatenciesMs: number[] = [];
let numCommitted = 0;

beforeAll(async () => {
  if (project() === "swiftshader") return;
  engine = await createEngineWith(nodePlatform, {
    model,
    device: project() === "reference" ? "reference" : "gpu",
    quantumMs: QUANTUM_MS,
    onPlan: (plan) => {
      plans.push(plan);
      completionLatenciesMs.push(scheduler?.completionLatencyMs ?? 0);
    },
  });
  const { commit } = Scheduler.prototype;
  vi.spyOn(Scheduler.prototype, "commit").mockImplementation(function (this: Scheduler, ...args) {
    scheduler = this;
    numCommitted += 1;
    return commit.apply(this, args);
  });
  // What plans cost is learnt first.
  await Promise.all([ask(engine, background(1)), ask(engine, urgent(2))]);
}, 300_000);
afterAll(async () => {
  vi.restoreAllMocks();
  await engine?.close();
});

// Its steps outlast the quantum, so that there every chunk is of one block.
test.skipIf(project() === "swiftshader")(
  "it waits for two quanta, the completion latency and one submission at most (not on SwiftShader: too slow)",
  async () => {
    const long = ask(engine, background(3));
    const isUnderWay = () => plans.at(-1)!.rows.some(({ tokens }) => tokens.from > 128);
    await expect.poll(isUnderWay, { interval: 1, timeout: 60_000 }).toBe(true);
    const arrival = plans.length;
    const inFlight = plans.slice(numCommitted);
    const latencyMs = Math.max(...completionLatenciesMs.slice(numCommitted));
    const answer = await ask(engine, urgent(4));
    const longAnswer = await long;

    // Its prompt is in the next plans, and nothing of the other before its first id.
    const first = plans.findIndex(({ rows }, i) => i >= arrival && rows.some(isSampledPrompt));
    const between = plans.slice(arrival, first + 1);
    const others = between.filter(({ rows }) => rows.some(({ tokens }) => tokens.to > 60));
    expect(others.length).toBeLessThanOrEqual(1);
    // Two plans may wait even where one of the least size takes longer than the quantum.
    const sumMs = inFlight.reduce((sum, { predictedMs }) => sum + predictedMs, 0);
    if (inFlight.length > 2) expect(sumMs).toBeLessThanOrEqual(2 * QUANTUM_MS + latencyMs);

    // The same answers as alone, whose prompts are cached by now.
    expect((await ask(engine, urgent(4))).ids).toEqual(answer.ids);
    expect((await ask(engine, background(3))).ids).toEqual(longAnswer.ids);
  },
  120_000,
);

/** The urgent prompt's last row; it has 60 tokens. */
const isSampledPrompt = ({ tokens, sample }: PlannedRow) => sample && tokens.to === 60;
