// Many readers of streams at once, each asking again as soon as it has its answer: no error, equal shares, and no
// more held at the end than at the beginning.

import { expect } from "vitest";
import type { EngineApi } from "../../../index.ts";
import { distribution, jainIndex } from "../../../scheduler/index.ts";
import { serve } from "../../../server.ts";
import { heapAfterCollection } from "../../harness/heap.ts";

export interface StreamsFigures {
  readonly streams: number;
  readonly seconds: number;
  readonly answers: number;
  readonly tokens: number;
  readonly tokensPerS: number;
  readonly itlMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly firstMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** Of the tokens that each reader got. */
  readonly jain: number;
  readonly errors: number;
  /** Before and after, if it was measured. */
  readonly heap: readonly number[];
}

export interface StreamsOptions {
  readonly count: number;
  readonly seconds: number;
  readonly maxTokens: number;
  /** After as much again to warm up. */
  readonly measuresHeap: boolean;
}

const PROMPTS = [
  "Tell me a story about a cat.",
  "Sort these words: pear, wolf, apple",
  "What is 12 + 30?",
];

/** What the readers saw together. Times beyond so many are not kept: heaps are compared. */
const MAX_TIMES = 200_000;

export async function streams(
  engine: EngineApi,
  { count, seconds, maxTokens, measuresHeap }: StreamsOptions,
): Promise<StreamsFigures> {
  const server = await serve(engine, { port: 0 });
  const gaps = new Float64Array(MAX_TIMES);
  const firsts = new Float64Array(MAX_TIMES);
  const seen = { gaps: 0, firsts: 0, answers: 0, errors: 0 };
  const tokens = new Float64Array(count);
  const note = (into: Float64Array, name: "gaps" | "firsts", ms: number) => {
    into[seen[name] % MAX_TIMES] = ms;
    seen[name] += 1;
  };

  const read = async (reader: number, round: number) => {
    const askedMs = performance.now();
    const response = await fetch(`${server.url}/chat/completions`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({
        messages: [{ role: "user", content: PROMPTS[(reader + round) % PROMPTS.length] }],
        ...{ stream: true, max_tokens: maxTokens, temperature: 1, seed: reader * 1000 + round },
        user: `reader-${reader}`,
      }),
    });
    expect(response.status).toBe(200);
    let lastMs: number | undefined;
    let text = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const nowMs = performance.now();
      text = (text + piece).slice(-200);
      const events = piece.match(/^data: \{/gm)?.length ?? 0;
      if (events === 0) continue;
      if (lastMs === undefined) note(firsts, "firsts", nowMs - askedMs);
      else note(gaps, "gaps", nowMs - lastMs);
      lastMs = nowMs;
      tokens[reader] += events;
    }
    if (!text.endsWith("data: [DONE]\n\n")) seen.errors += 1;
    seen.answers += 1;
  };

  const run = async (ms: number) => {
    const endMs = performance.now() + ms;
    const one = async (reader: number) => {
      for (let round = 0; performance.now() < endMs; round++) await read(reader, round);
    };
    await Promise.all(Array.from({ length: count }, (_, reader) => one(reader)));
  };

  const heap: number[] = [];
  if (measuresHeap) {
    // What the process compiles and learns, a cache that fills up, and connections that are kept.
    await run(seconds * 250);
    await run(seconds * 250);
    heap.push(await heapAfterCollection());
    Object.assign(seen, { gaps: 0, firsts: 0, answers: 0, errors: 0 });
    tokens.fill(0);
  }
  const startMs = performance.now();
  await run(seconds * 1000);
  const tookS = (performance.now() - startMs) / 1000;
  if (measuresHeap) heap.push(await heapAfterCollection());
  await server.close();
  const all = tokens.reduce((sum, own) => sum + own, 0);
  const figures = (times: Float64Array, n: number) => {
    const { p50, p95, p99 } = distribution([...times.subarray(0, Math.min(n, MAX_TIMES))]);
    return { p50, p95, p99 };
  };
  return {
    ...{ streams: count, seconds: tookS, answers: seen.answers, tokens: all },
    tokensPerS: all / tookS,
    itlMs: figures(gaps, seen.gaps),
    firstMs: figures(firsts, seen.firsts),
    jain: jainIndex([...tokens]),
    errors: seen.errors,
    heap,
  };
}
