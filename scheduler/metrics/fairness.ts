/** Whether clients got like shares. */
import type { RequestRecord } from "./request-record.ts";

/** As virtual token counters weigh them (OSDI 2024): a sampled token costs as much as two of a prompt. */
const SAMPLED_WEIGHT = 2;

/** (Σx)² / (n · Σx²): 1 when all x are alike, 1/n when one has all; 1 of none. */
export function jainIndex(shares: Iterable<number>): number {
  let n = 0;
  let sum = 0;
  let squares = 0;
  for (const share of shares) {
    n += 1;
    sum += share;
    squares += share * share;
  }
  return squares === 0 ? 1 : (sum * sum) / (n * squares);
}

/** Weighted tokens visible within (from, to], by client; a prompt counts with its first token. */
export function clientService(
  records: readonly RequestRecord[],
  fromMs: number,
  toMs: number,
): Map<string, number> {
  const service = new Map<string, number>();
  for (const { client, numPromptTokens, tokenMs } of records) {
    let weight = 0;
    tokenMs.forEach((ms, i) => {
      if (ms > fromMs && ms <= toMs) weight += SAMPLED_WEIGHT + (i === 0 ? numPromptTokens : 0);
    });
    service.set(client, (service.get(client) ?? 0) + weight);
  }
  return service;
}

/**
 * Weighted service over demand until a moment, by client: while a backlog lasts, in the end everybody
 * has been served everything. Demand is what requests that came by then got in the end; rejected ones
 * have none.
 */
export function clientShares(
  records: readonly RequestRecord[],
  untilMs: number,
): Map<string, number> {
  const came = records.filter(
    ({ arrivalMs, tokenMs }) => arrivalMs <= untilMs && tokenMs.length > 0,
  );
  const always = Number.POSITIVE_INFINITY;
  const demand = clientService(came, -always, always);
  const service = clientService(came, -always, untilMs);
  return new Map([...service].map(([client, served]) => [client, served / demand.get(client)!]));
}
