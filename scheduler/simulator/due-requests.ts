/**
 * Which request of a replay comes when: at its own time, after another's end, or, in a closed loop,
 * when a client has its answer. Knows no scheduler.
 */
import type { SequenceId } from "../work-plan.ts";
import type { TraceRequest } from "./trace.ts";

export interface DueRequest {
  readonly id: SequenceId;
  readonly ms: number;
  /** Who sends it, where that is not the request's own client. */
  readonly client?: string;
}

export class DueRequests {
  readonly #requests: readonly TraceRequest[];
  /** Those whose time is known, in order. */
  readonly #due: DueRequest[] = [];
  #numArrived = 0;
  /** Who comes after whose end. */
  readonly #followers = new Map<SequenceId, SequenceId[]>();
  /** Those that came, or will whatever happens; in a closed loop the others come when one ends. */
  #numAsked: number;

  /** @param clients Of a closed loop: each sends the next of the requests when it has its answer. */
  constructor(requests: readonly TraceRequest[], clients: number | undefined) {
    this.#requests = requests;
    this.#numAsked = clients === undefined ? requests.length : 0;
    requests.slice(0, this.#numAsked).forEach(({ after, arrivalMs }, id) => {
      if (after === undefined) this.#due.push({ id, ms: arrivalMs });
      else this.#followers.set(after, [...(this.#followers.get(after) ?? []), id]);
    });
    this.#due.sort((a, b) => a.ms - b.ms);
    for (let client = 0; client < (clients ?? 0); client++) this.#askNext(`client ${client}`, 0);
  }

  /** When the next comes; infinite when none is known to. */
  get nextMs(): number {
    return this.#due.at(this.#numArrived)?.ms ?? Number.POSITIVE_INFINITY;
  }

  /** Whoever has come by now, one after the other; undefined when that was all. */
  take(nowMs: number): DueRequest | undefined {
    return this.nextMs <= nowMs ? this.#due[this.#numArrived++] : undefined;
  }

  /** A request was answered: those after it come, and its client's next. */
  answered(id: SequenceId, client: string, nowMs: number): void {
    for (const next of this.#followers.get(id) ?? []) {
      this.#comes({ id: next, ms: nowMs + this.#requests[next].arrivalMs });
    }
    this.#askNext(client, nowMs);
  }

  /** A request was refused: its client sends its next. */
  refused(client: string, nowMs: number): void {
    this.#askNext(client, nowMs);
  }

  #askNext(client: string, nowMs: number): void {
    if (this.#numAsked === this.#requests.length) return;
    this.#comes({ id: this.#numAsked++, ms: nowMs, client });
  }

  #comes(arrival: DueRequest): void {
    const at = this.#due.findIndex((other, i) => i >= this.#numArrived && other.ms > arrival.ms);
    this.#due.splice(at < 0 ? this.#due.length : at, 0, arrival);
  }
}
