/** Values on one line of a trace. Every refusal names the line, the field, what it is and must be. */
import { SchedulerError } from "../errors.ts";

export class TraceLine {
  readonly #number: number;

  /** @param index Of the line, from 0. */
  constructor(index: number) {
    this.#number = index + 1;
  }

  count(value: unknown, field: string): number {
    const count = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof count === "number" && Number.isSafeInteger(count) && count >= 1) return count;
    this.refuse(field, value, "a whole number of 1 or more");
  }

  refuse(field: string, actual: unknown, required: string): never {
    throw new SchedulerError(
      "bad_trace",
      `line ${this.#number} of the trace: ${field} is ${JSON.stringify(actual) ?? "missing"}; ` +
        `it must be ${required}: correct the line or remove it`,
    );
  }
}
