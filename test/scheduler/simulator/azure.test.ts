// Admission on a real trace: 3,000 conversations that all wait, in a cache of 32,768 tokens.

import { expect, test } from "vitest";
import { hardwareProfiles } from "../../../scheduler/simulator/hardware.ts";
import type { PolicyName } from "../../../scheduler/simulator/policies.ts";
import { simulate } from "../../../scheduler/simulator/simulate.ts";
import { azureTrace, missing } from "./azure-traces.ts";

test.skipIf(missing)(`Past-Future is near the oracle and loses little${missing}`, () => {
  const requests = azureTrace("conv", 3000);
  const names: PolicyName[] = ["past-future", "conservative", "optimistic", "oracle"];
  const runs = simulate({
    ...{ requests, policies: names, loads: ["backlog"], kvTokens: 32_768, seed: 0 },
    hardware: hardwareProfiles["desktop-1.7b"],
  });
  const figures = new Map([...runs].map((run) => [run.figures.name, run.figures]));
  const [pastFuture, conservative, optimistic, oracle] = names.map((name) => figures.get(name)!);
  for (const { refused, requests } of figures.values())
    expect({ refused, requests }).toEqual({ refused: 0, requests: 3000 });

  expect(pastFuture.steps).toBeLessThan(1.06 * oracle.steps);
  expect(pastFuture.recomputedShare).toBeLessThan(0.005);
  // What it is for: more at once than conservative, without what optimistic computes twice.
  expect(conservative.steps).toBeGreaterThan(1.3 * oracle.steps);
  expect(conservative.preemptions).toBe(0);
  expect(optimistic.recomputedShare).toBeGreaterThan(0.05);
  expect(pastFuture.tokPerS).toBeGreaterThan(1.02 * optimistic.tokPerS);
  expect(pastFuture.tokPerS).toBeGreaterThan(1.02 * conservative.tokPerS);
});
