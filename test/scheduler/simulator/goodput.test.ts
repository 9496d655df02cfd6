// Requests with a first token within 10 s and no gap above 1.5 s, by admission policy and load, on
// Azure's traces: Past-Future serves as many as the best of those that do not know the answers'
// lengths. `npm run soak -- goodput` runs all loads, and three seeds of arrivals.

import { describe, expect, test } from "vitest";
import {
  hardwareProfiles,
  type PolicyFigures,
  type PolicyName,
  simulate,
} from "../../../scheduler/index.ts";
import { report, scale } from "../../harness/soak.ts";
import { type AzureTrace, azureTrace, missing } from "./azure-traces.ts";

const isSoak = scale("goodput", 0, 1) === 1;
const numRequests = scale("goodput", 600, 3000);
const seeds = isSoak ? [0, 1, 2] : [0];
const loads = isSoak ? [0.3, 0.7, 1, 1.3] : [1];

const OTHERS = ["conservative", "optimistic", "fcfs"] as const satisfies PolicyName[];
const POLICIES = ["past-future", ...OTHERS, "oracle"] as const satisfies PolicyName[];
type Figures = Record<(typeof POLICIES)[number], PolicyFigures>;

/** One arrival seed: figures by policy, for each load. */
function measure(trace: AzureTrace, seed: number): Figures[] {
  const runs = simulate({
    ...{ requests: azureTrace(trace, numRequests), policies: POLICIES, loads, seed },
    ...{ kvTokens: 32_768, hardware: hardwareProfiles["desktop-1.7b"] },
  });
  const figures = [...runs].map((run) => run.figures);
  return loads.map((load) => {
    const ofLoad = figures.filter((each) => each.load === load);
    return Object.fromEntries(ofLoad.map((each) => [each.name, each])) as Figures;
  });
}

describe.skipIf(missing).each(["conv", "code"] as const)(`Azure %s${missing}`, (trace) => {
  test("Past-Future is within 1 % of the best that knows no lengths", () => {
    const bySeed = seeds.map((seed) => measure(trace, seed));
    let mostAhead = 0;
    loads.forEach((load, at) => {
      const runs = bySeed.map((ofSeed) => ofSeed[at]);
      const sum = (name: keyof Figures, of: "good" | "goodput") =>
        runs.reduce((total, run) => total + run[name][of], 0);
      const row = POLICIES.map((name) => ({
        policy: name,
        good: sum(name, "good"),
        ofSeeds: runs.map((run) => run[name].good),
        requestsPerS: sum(name, "goodput") / seeds.length,
        ttftP50Ms: runs.map((run) => run[name].ttftMs.p50),
        preemptions: runs.map((run) => run[name].preemptions),
        kvUtilization: runs.map((run) => run[name].kvUtilization),
      }));
      report("goodput", { trace, load, seeds, of: numRequests * seeds.length, policies: row });
      if (isSoak) {
        const cells = row.map(({ policy, good, ofSeeds }) => `${policy} ${good} (${ofSeeds})`);
        console.log(`${trace}, load ${load}: ${cells.join("  ")}`);
      }

      // The same arrivals, so the count; and per second of each one's own makespan.
      for (const of of ["good", "goodput"] as const)
        for (const other of OTHERS)
          expect(sum("past-future", of)).toBeGreaterThanOrEqual(0.99 * sum(other, of));
      // In each run too, but for one request: where dozens are good, one is more than 1 %.
      for (const run of runs)
        for (const other of OTHERS)
          expect(run["past-future"].good).toBeGreaterThanOrEqual(0.99 * run[other].good - 1);
      if (load >= 1) {
        const best = Math.max(...OTHERS.map((other) => sum(other, "goodput")));
        mostAhead = Math.max(mostAhead, sum("past-future", "goodput") / best);
      }
    });
    if (trace === "conv") expect(mostAhead).toBeGreaterThan(1.05);
  });
});
