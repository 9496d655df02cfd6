/** Reads a trace, in whichever format it is. Text in, requests out; no files. */
import { SchedulerError } from "../errors.ts";
import { readAzureCsv } from "./azure-csv.ts";
import { readMooncakeJsonl } from "./mooncake-jsonl.ts";
import type { TraceRequest } from "./trace.ts";

/**
 * Azure's CSV or Mooncake's JSONL, whichever it is, in order of arrival.
 * @throws {SchedulerError} "bad_trace" with the line that cannot be read.
 */
export function readTrace(text: string): TraceRequest[] {
  const requests = readLines(text);
  if (requests.length === 0)
    throw new SchedulerError("bad_trace", "the trace has no request; give one with at least one");
  requests.sort((a, b) => a.arrivalMs - b.arrivalMs);
  const [{ arrivalMs: startMs }] = requests;
  return requests.map((request) => ({ ...request, arrivalMs: request.arrivalMs - startMs }));
}

function readLines(text: string): TraceRequest[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines[0].startsWith("TIMESTAMP,")) return readAzureCsv(lines);
  if (lines[0].trimStart().startsWith("{")) return readMooncakeJsonl(lines);
  throw new SchedulerError(
    "bad_trace",
    `line 1 of the trace is ${JSON.stringify(lines[0].slice(0, 60))}; it must be the header ` +
      '"TIMESTAMP,ContextTokens,GeneratedTokens" of an Azure trace or a JSON object of a Mooncake trace',
  );
}
