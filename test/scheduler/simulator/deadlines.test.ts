// Requests of all classes at and above capacity: how many the order serves in time, and how many
// first come, first served does. `npm run soak -- deadlines` prints more of them, and two quanta.

import { describe, expect, test } from "vitest";
import {
  hardwareProfiles,
  meets,
  policies,
  type ReplayOptions,
  replay,
  SERVICE_LEVELS,
  type ServiceLevel,
  type TraceRequest,
} from "../../../scheduler/index.ts";
import { arriveAtLoad, backlog } from "../../../scheduler/simulator/arrivals.ts";
import { report, scale } from "../../harness/soak.ts";
import { DEADLINES_MS, mixedClasses } from "./mixed-classes.ts";

/** A completion of the mix takes it some 120 ms alone. */
const hardware = {
  gpu: hardwareProfiles["desktop-1.7b"].gpu,
  model: hardwareProfiles["laptop-0.6b"].model,
};
const numRequests = scale("deadlines", 400, 2000);
const quanta = [25, 50].slice(0, scale("deadlines", 1, 2));

const LEVELS: Partial<Record<string, ServiceLevel>> = {
  interactive: { ttftMs: DEADLINES_MS.interactive },
  completion: { totalMs: DEADLINES_MS.completion },
  agent: { ttftMs: DEADLINES_MS.agent },
};

describe.each([0, 1, 2])("seed %i", (seed) => {
  const trace = mixedClasses(numRequests, seed);
  const run = (requests: readonly TraceRequest[], policy: ReplayOptions["policy"]) =>
    replay(requests, { hardware, kvTokens: 32_768, policy, seed });
  const capacityMs = run(backlog(trace), policies.oracle).makespanMs;

  test.each([1, 1.3])("at load %d twice as many are in time", (load) => {
    const arrivals = arriveAtLoad(trace, load, capacityMs, seed);
    const inTime = (policy: ReplayOptions["policy"]) => {
      const due = run(arrivals, policy).requests.filter(({ priority }) => priority in LEVELS);
      return {
        all: due.filter((record) => meets(record, LEVELS[record.priority]!)).length,
        // What the deadlines say, and gaps: 99 of 100 within 100 ms for readers, 200 for agents.
        withGaps: due.filter((record) => meets(record, SERVICE_LEVELS[record.priority])).length,
        ...Object.fromEntries(
          Object.entries(LEVELS).map(([priority, level]) => [
            priority,
            due.filter((record) => record.priority === priority && meets(record, level!)).length,
          ]),
        ),
        of: due.length,
      };
    };
    const fcfs = inTime(policies.fcfs);
    report("deadlines", { seed, load, policy: "fcfs", ...fcfs });
    for (const quantumMs of quanta) {
      const ours = inTime({ quantumMs });
      const fcfsCut = inTime({ ...policies.fcfs, quantumMs });
      const fcfsPastFuture = inTime({ order: "fcfs", quantumMs });
      const named = { ours, fcfsCut, fcfsPastFuture };
      for (const [policy, counts] of Object.entries(named))
        report("deadlines", { seed, load, quantumMs, policy, ...counts });
      expect(ours.of).toBeGreaterThan(0.8 * numRequests);
      expect(ours.all).toBeGreaterThanOrEqual(2 * fcfs.all);
      expect(ours.withGaps).toBeGreaterThanOrEqual(2 * fcfs.withGaps);
      // Short plans alone do not make up for the order.
      expect(ours.all).toBeGreaterThan(1.5 * Math.max(fcfsCut.all, fcfsPastFuture.all));
    }
  });
});
