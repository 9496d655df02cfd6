/**
 * Mooncake's traces (FAST 2025): a JSON object a line, with the hashes of the prompt's blocks of 512
 * tokens, each over all that precedes it. Other keys are ignored.
 */
import type { TraceRequest } from "./trace.ts";
import { TraceLine } from "./trace-line.ts";

const HASHED_TOKENS = 512;

/** @throws {SchedulerError} "bad_trace". */
export function readMooncakeJsonl(lines: readonly string[]): TraceRequest[] {
  return lines.flatMap((text, index) => {
    if (text.trim() === "") return [];
    // The annotation lets `refuse` narrow types.
    const line: TraceLine = new TraceLine(index);
    const entry = parse(text);
    if (typeof entry !== "object" || entry === null)
      line.refuse("the line", text.slice(0, 60), "a JSON object");
    const { timestamp, input_length, output_length, hash_ids } = entry as Record<string, unknown>;
    if (!(typeof timestamp === "number" && timestamp >= 0))
      line.refuse("timestamp", timestamp, "milliseconds, 0 or more");
    const numPromptTokens = line.count(input_length, "input_length");
    const outputTokens = line.count(output_length, "output_length");
    const request = { arrivalMs: timestamp, numPromptTokens, outputTokens };
    if (hash_ids === undefined) return request;
    return { ...request, prefixHashes: hashes(hash_ids, numPromptTokens, line) };
  });
}

function hashes(value: unknown, numPromptTokens: number, line: TraceLine): number[] {
  const most = Math.ceil(numPromptTokens / HASHED_TOKENS);
  if (Array.isArray(value) && value.length <= most && value.every(Number.isSafeInteger))
    return value;
  line.refuse("hash_ids", value, `a list of at most ${most} integers, one per 512 prompt tokens`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
