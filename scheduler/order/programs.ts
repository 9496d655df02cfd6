/**
 * Requests of one program (an agent's steps, a document's parts) are served as if they had come with
 * its first: a program under way is finished before a later one is begun.
 */
import type { Sequence } from "../sequence.ts";

/** An idle program is forgotten after so long: its next request begins another. */
const IDLE_MS = 600_000;
/** More than so many are looked through for idle ones. */
const MANY = 256;

export class Programs {
  readonly #programs = new Map<string, { readonly ticket: number; lastMs: number }>();

  /** Call when one of its requests comes, and when one ends. */
  touch({ program, ticket }: Sequence, nowMs: number): void {
    if (program === undefined) return;
    const known = this.#programs.get(program);
    if (known !== undefined && nowMs - known.lastMs <= IDLE_MS) known.lastMs = nowMs;
    else this.#programs.set(program, { ticket, lastMs: nowMs });
    if (this.#programs.size > MANY) this.#forget(nowMs);
  }

  /** The ticket of its program's first request, or its own. */
  ticketOf({ program, ticket }: Sequence): number {
    if (program === undefined) return ticket;
    return Math.min(ticket, this.#programs.get(program)?.ticket ?? ticket);
  }

  #forget(nowMs: number): void {
    for (const [name, { lastMs }] of this.#programs)
      if (nowMs - lastMs > IDLE_MS) this.#programs.delete(name);
  }
}
