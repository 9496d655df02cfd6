/** Whether clients got like shares of what they asked for. Requests without a client are of one. */
import type { Replay } from "./replay.ts";

/** As virtual token counters weigh them (OSDI 2024): a sampled token costs as much as two of a prompt. */
const SAMPLED_WEIGHT = 2;

/**
 * Jain's index over clients, 1 when all are alike, 1/n when one has all: (Σx)² / (n · Σx²), where x is
 * the weighted tokens served over those asked for. Counted until half the makespan, since in the end
 * everybody has been served everything.
 */
export function jainOf({ requests, makespanMs }: Replay): number {
  const untilMs = makespanMs / 2;
  const clients = new Map<string, { served: number; asked: number }>();
  for (const { request, tokenMs } of requests) {
    if (request.arrivalMs > untilMs || tokenMs.length === 0) continue;
    const { client = "", numPromptTokens, outputTokens } = request;
    const sums = clients.get(client) ?? { served: 0, asked: 0 };
    clients.set(client, sums);
    sums.asked += numPromptTokens + SAMPLED_WEIGHT * outputTokens;
    const numSampled = tokenMs.filter((ms) => ms <= untilMs).length;
    if (numSampled > 0) sums.served += numPromptTokens + SAMPLED_WEIGHT * numSampled;
  }
  const shares = [...clients.values()].map(({ served, asked }) => served / asked);
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : sum ** 2 / (shares.length * squares);
}
