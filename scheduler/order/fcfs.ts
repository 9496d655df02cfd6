/** First come, first served, and who was taken back before all others: to compare with. */
import type { Sequence } from "../sequence.ts";
import type { Order } from "./order.ts";

export const fcfs: Order = {
  rankOf: () => 0,
  next: (waiting) => waiting.reduce((first, other) => (isBefore(other, first) ? other : first)),
};

export function isBefore(a: Sequence, b: Sequence): boolean {
  if (a.hasStarted !== b.hasStarted) return a.hasStarted;
  return a.ticket < b.ticket;
}
