/**
 * Who waits, in lines that are in order whatever the clock says: whoever was taken back, then by
 * arrival. Only the first of each line can be next, so thousands may wait.
 */
import type { Sequence } from "../sequence.ts";

export class Lines {
  readonly #keyOf: (sequence: Sequence) => string;
  readonly #lines = new Map<string, Sequence[]>();

  /** @param keyOf Of sequences with one key, arrival alone decides. */
  constructor(keyOf: (sequence: Sequence) => string) {
    this.#keyOf = keyOf;
  }

  /** The first of each line. */
  *heads(): Iterable<Sequence> {
    for (const line of this.#lines.values()) yield line[0];
  }

  add(sequence: Sequence): void {
    const key = this.#keyOf(sequence);
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, [sequence]);
    else if (isBefore(line[line.length - 1], sequence)) line.push(sequence);
    else
      line.splice(
        line.findIndex((other) => isBefore(sequence, other)),
        0,
        sequence,
      );
  }

  remove(sequence: Sequence): void {
    const key = this.#keyOf(sequence);
    const line = this.#lines.get(key)!;
    line.splice(line.indexOf(sequence), 1);
    if (line.length === 0) this.#lines.delete(key);
  }
}

function isBefore(a: Sequence, b: Sequence): boolean {
  if (a.hasStarted !== b.hasStarted) return a.hasStarted;
  return a.ticket < b.ticket;
}
