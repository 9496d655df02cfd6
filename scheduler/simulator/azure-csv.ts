/**
 * Azure's LLM inference traces (Splitwise, ISCA 2024; DynamoLLM, HPCA 2025): a header, then a time
 * and two counts a line.
 */
import type { TraceRequest } from "./trace.ts";
import { TraceLine } from "./trace-line.ts";

const HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens";
const TIME = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00)?$/;

/** `arrivalMs` counts from 1970. @throws {SchedulerError} "bad_trace". */
export function readAzureCsv(lines: readonly string[]): TraceRequest[] {
  if (lines[0].trim() !== HEADER)
    new TraceLine(0).refuse("the header", lines[0].trim(), JSON.stringify(HEADER));
  return lines.flatMap((text, index) => {
    if (index === 0 || text.trim() === "") return [];
    const line = new TraceLine(index);
    const fields = text.trim().split(",");
    if (fields.length !== 3) line.refuse("the number of fields", fields.length, "3");
    const [time, prompt, output] = fields;
    return {
      arrivalMs:
        milliseconds(time) ?? line.refuse("TIMESTAMP", time, "like 2023-11-16 18:15:46.68"),
      numPromptTokens: line.count(prompt, "ContextTokens"),
      outputTokens: line.count(output, "GeneratedTokens"),
    };
  });
}

/** Fractions are finer than what `Date` reads. */
function milliseconds(time: string): number | undefined {
  const [, day, second, fraction = ""] = TIME.exec(time) ?? [];
  const whole = Date.parse(`${day}T${second}Z`);
  return Number.isNaN(whole) ? undefined : whole + 1000 * Number(`0${fraction}`);
}
