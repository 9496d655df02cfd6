/**
 * The requests of a serving benchmark: lengths from a trace or the built-in workload, made to fit,
 * and prompts that share nothing, so that the prefix cache helps nobody.
 */
import {
  type Random,
  readTrace,
  syntheticTrace,
  type TraceRequest,
} from "../../scheduler/index.ts";
import { readTextFile } from "./text-file.ts";

export interface ServedRequest {
  readonly prompt: readonly number[];
  readonly outputTokens: number;
}

/** Of the trace's first requests, or of the built-in workload. */
export const workload = (
  trace: string | undefined,
  numRequests: number,
  seed: number,
): readonly TraceRequest[] =>
  trace === undefined
    ? syntheticTrace(numRequests, seed)
    : readTrace(readTextFile(trace)).slice(0, numRequests);

/** Tokens of the longest request, prompt and answer. */
export const longestOf = (requests: readonly TraceRequest[]): number =>
  requests.reduce(
    (most, { numPromptTokens: n, outputTokens }) => Math.max(most, n + outputTokens),
    0,
  );

/** All lengths by the same factor, if that is what it takes for the longest to have `most` tokens. */
export function scaledTo(most: number, requests: readonly TraceRequest[]): TraceRequest[] {
  const factor = Math.min(1, most / longestOf(requests));
  const scaled = (count: number) => Math.max(1, Math.floor(factor * count));
  return requests.map((request) => ({
    ...request,
    numPromptTokens: scaled(request.numPromptTokens),
    outputTokens: scaled(request.outputTokens),
  }));
}

/** Any ids do: their values change nothing about the work. */
export function withPrompts(
  requests: readonly TraceRequest[],
  vocabSize: number,
  random: Random,
): ServedRequest[] {
  return requests.map(({ numPromptTokens, outputTokens }) => ({
    prompt: Array.from({ length: numPromptTokens }, () => Math.floor(vocabSize * random())),
    outputTokens,
  }));
}

/** Open loop: independent arrivals at a mean rate, the first at 0. */
export function poissonArrivals(count: number, requestsPerS: number, random: Random): number[] {
  let arrivalMs = 0;
  return Array.from({ length: count }, (_, index) => {
    if (index > 0) arrivalMs -= (1000 / requestsPerS) * Math.log(1 - random());
    return arrivalMs;
  });
}
