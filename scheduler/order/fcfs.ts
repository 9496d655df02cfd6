/** First come, first served, and who was taken back before all others: to compare with. */
import { Lines } from "./lines.ts";
import type { Order } from "./order.ts";

export function fcfs(): Order {
  const line = new Lines(() => "");
  return {
    rankOf: () => 0,
    next: () => [...line.heads()].at(0),
    waits: (sequence) => line.add(sequence),
    leaves: (sequence) => line.remove(sequence),
    charge: () => {},
  };
}
