/** Policies side by side: the same requests, at each load, through each policy. */
import { arriveAtLoad, backlog, type Load } from "./arrivals.ts";
import { type Curves, curvesOf } from "./curves.ts";
import { figuresOf, type PolicyFigures } from "./figures.ts";
import type { HardwareProfile } from "./hardware.ts";
import { type PolicyName, policies } from "./policies.ts";
import { type Replay, replay } from "./replay.ts";
import type { TraceRequest } from "./trace.ts";

export interface Simulation {
  readonly requests: readonly TraceRequest[];
  readonly policies: readonly PolicyName[];
  readonly loads: readonly Load[];
  readonly kvTokens: number;
  readonly hardware: HardwareProfile;
  /** Bound on a plan's GPU time; default none. */
  readonly quantumMs?: number;
  /** Of arrivals and of what policies draw. */
  readonly seed: number;
}

export interface PolicyRun {
  readonly figures: PolicyFigures;
  readonly curves: Curves;
}

/**
 * One run at a time, load by load. Load 1 offers as many tokens per second as the oracle serves when
 * all requests wait at time 0.
 *
 * @throws {SchedulerError} "bad_config" or "bad_trace".
 */
export function* simulate(simulation: Simulation): Generator<PolicyRun, void, undefined> {
  const { requests, kvTokens, hardware, quantumMs, seed } = simulation;
  const run = (name: PolicyName, arrivals: readonly TraceRequest[]): Replay =>
    replay(arrivals, { kvTokens, hardware, policy: { ...policies[name], quantumMs }, seed });
  let capacityMs: number | undefined;
  for (const load of simulation.loads) {
    let arrivals = backlog(requests);
    if (load !== "backlog") {
      capacityMs ??= run("oracle", arrivals).makespanMs;
      arrivals = arriveAtLoad(requests, load, capacityMs, seed);
    }
    for (const name of simulation.policies) {
      const done = run(name, arrivals);
      yield { figures: figuresOf(name, load, done), curves: curvesOf(done) };
    }
  }
}
