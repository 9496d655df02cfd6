/** When the requests of a trace arrive in a simulation: all at once, or at a share of capacity. */
import { SchedulerError } from "../errors.ts";
import { seededRandom } from "../random.ts";
import type { TraceRequest } from "./trace.ts";

/** All at time 0, or tokens offered per second as a multiple of the capacity. */
export type Load = "backlog" | number;

export const backlog = (requests: readonly TraceRequest[]): TraceRequest[] =>
  requests.map((request) => ({ ...request, arrivalMs: 0 }));

/**
 * Open loop: times are scaled so that the trace's requests, which take `capacityMs` at full capacity,
 * arrive within `capacityMs / load`. Gaps keep their order, so bursts keep their shape; a seed other
 * than 0 begins at a drawn gap and goes on with the first after the last, so that bursts meet other
 * requests.
 *
 * @throws {SchedulerError} "bad_trace" when all requests of the trace came at one moment.
 */
export function arriveAtLoad(
  requests: readonly TraceRequest[],
  load: number,
  capacityMs: number,
  seed: number,
): TraceRequest[] {
  const gaps = requests.slice(1).map(({ arrivalMs }, i) => arrivalMs - requests[i].arrivalMs);
  const spanMs = gaps.reduce((sum, gap) => sum + gap, 0);
  if (spanMs === 0)
    throw new SchedulerError(
      "bad_trace",
      `the ${requests.length} requests came at one moment, so there are no gaps to scale to load ` +
        `${load}; use load "backlog" or more requests`,
    );
  const first = seed === 0 ? 0 : Math.floor(seededRandom(seed)() * gaps.length);
  const scale = capacityMs / load / spanMs;
  let arrivalMs = 0;
  return requests.map((request, i) => {
    if (i > 0) arrivalMs += scale * gaps[(first + i - 1) % gaps.length];
    return { ...request, arrivalMs };
  });
}
