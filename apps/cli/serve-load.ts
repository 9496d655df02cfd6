/**
 * Puts a load on an engine through its public door and records what readers see. Closed loop: so
 * many clients, each asks again when it has its answer. Open loop: requests come when they come.
 */
import { setTimeout } from "node:timers/promises";
import type { Engine, LayerPolicy } from "../../node.ts";
import { type RequestRecord, requestRecord } from "../../scheduler/index.ts";
import type { ServedRequest } from "./serve-workload.ts";

/** What a load is put on, and who hears of each answer. */
export interface Service {
  readonly engine: Pick<Engine, "generate">;
  readonly signal: AbortSignal;
  /** Of every request. */
  readonly layerPolicy?: LayerPolicy;
  onAnswer?(): void;
}

export interface Served {
  readonly records: readonly RequestRecord[];
  readonly startMs: number;
  /** Closed loop: until then every client had a request. Open loop: the end. */
  readonly busyUntilMs: number;
  /** The last token. */
  readonly endMs: number;
  /** Most requests under way at once. */
  readonly mostAtOnce: number;
}

/** @throws {WeftError} of any request. */
export async function closedLoop(
  service: Service,
  requests: readonly ServedRequest[],
  numClients: number,
): Promise<Served> {
  const startMs = performance.now();
  const records: RequestRecord[] = [];
  let next = 0;
  let busyUntilMs = Number.POSITIVE_INFINITY;
  const client = async (name: string): Promise<void> => {
    while (next < requests.length) {
      const request = requests[next++];
      records.push(await serve(service, request, next, name, performance.now()));
    }
    busyUntilMs = Math.min(busyUntilMs, performance.now());
  };
  const names = Array.from({ length: numClients }, (_, i) => `client ${i}`);
  await Promise.all(names.map(client));
  const mostAtOnce = Math.min(numClients, requests.length);
  return { records, startMs, busyUntilMs, endMs: endOf(records), mostAtOnce };
}

/**
 * A request counts from when it was to come, however late the timer was.
 * @param arrivalMs Of each request, since the start; ascending.
 * @throws {WeftError} of any request.
 */
export async function openLoop(
  service: Service,
  requests: readonly ServedRequest[],
  arrivalMs: readonly number[],
): Promise<Served> {
  const startMs = performance.now();
  const failed = new AbortController();
  const signal = AbortSignal.any([service.signal, failed.signal]);
  const answers: Promise<RequestRecord>[] = [];
  let numUnderWay = 0;
  let mostAtOnce = 0;
  for (const [index, request] of requests.entries()) {
    const dueMs = startMs + arrivalMs[index];
    await setTimeout(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    );
    numUnderWay += 1;
    mostAtOnce = Math.max(mostAtOnce, numUnderWay);
    const answer = serve(service, request, index, "", dueMs);
    answer.then(
      () => {
        numUnderWay -= 1;
      },
      (error) => failed.abort(error),
    );
    answers.push(answer);
  }
  const records = await Promise.all(answers);
  const endMs = endOf(records);
  return { records, startMs, busyUntilMs: endMs, endMs, mostAtOnce };
}

async function serve(
  { engine, signal, layerPolicy, onAnswer }: Service,
  { prompt, outputTokens }: ServedRequest,
  id: number,
  client: string,
  arrivalMs: number,
): Promise<RequestRecord> {
  const record = requestRecord({ id, arrivalMs, numPromptTokens: prompt.length, client });
  const sampling = { maxTokens: outputTokens, temperature: 0, ignoreEos: true };
  const request = { prompt, ...sampling, client, layerPolicy };
  for await (const { tokenIds } of engine.generate(request, { signal })) {
    for (const _ of tokenIds) record.tokenMs.push(performance.now());
  }
  record.end = "finished";
  onAnswer?.();
  return record;
}

const endOf = (records: readonly RequestRecord[]): number =>
  records.reduce((end, { tokenMs }) => Math.max(end, tokenMs[tokenMs.length - 1] ?? end), 0);
