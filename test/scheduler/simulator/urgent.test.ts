// An urgent request in the middle of a long prompt: how long its reader waits.

import { expect, test } from "vitest";
import {
  hardwareProfiles,
  type ReplayOptions,
  replay,
} from "../../../scheduler/simulator/index.ts";
import { report, scale } from "../../harness/soak.ts";

const hardware = hardwareProfiles["desktop-1.7b"];
const QUANTUM_MS = 50;
const OURS = { quantumMs: QUANTUM_MS };

const background = {
  arrivalMs: 0,
  numPromptTokens: 8192,
  outputTokens: 64,
  priority: "background",
} as const;
const urgent = (arrivalMs: number) =>
  ({ arrivalMs, numPromptTokens: 200, outputTokens: 32, priority: "interactive" }) as const;

function ttftMs(policy: ReplayOptions["policy"], arrivalMs: number, beside = true): number {
  const requests = beside ? [background, urgent(arrivalMs)] : [urgent(arrivalMs)];
  const done = replay(requests, { hardware, kvTokens: 32_768, policy, seed: 0 });
  for (const { tokenMs, request } of done.requests)
    expect(tokenMs).toHaveLength(request.outputTokens);
  return done.requests.at(-1)!.tokenMs[0] - arrivalMs;
}

const numArrivals = scale("scheduler", 25, 500);
/** All over the prompt, which takes 9 s. */
const arrivals = Array.from({ length: numArrivals }, (_, i) => 100 + (8_000 * i) / numArrivals);
const worst = (policy: ReplayOptions["policy"]) =>
  Math.max(...arrivals.map((arrivalMs) => ttftMs(policy, arrivalMs)));

test("its first token comes after its own prefill, two quanta and the completion latency", () => {
  const aloneMs = ttftMs(OURS, 0, false);
  // Alone, it waits for the readback too.
  const boundMs = aloneMs + 2 * QUANTUM_MS;
  const oursMs = worst(OURS);
  const chunkedMs = worst({ order: "fcfs", maxTokensPerPlan: 512 });
  const wholeMs = worst({ order: "fcfs", maxTokensPerPlan: 16_384 });
  report("scheduler", { aloneMs, boundMs, oursMs, chunkedMs, wholeMs });
  expect(oursMs).toBeLessThanOrEqual(boundMs);
  expect(chunkedMs).toBeGreaterThan(2 * oursMs);
  expect(wholeMs).toBeGreaterThan(2 * oursMs);
});
