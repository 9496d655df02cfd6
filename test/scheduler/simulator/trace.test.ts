// Trace readers: both formats as they are published, and what is said about lines that are not.

import { describe, expect, test } from "vitest";
import { SchedulerError } from "../../../scheduler/index.ts";
import { readTrace } from "../../../scheduler/simulator/read-trace.ts";
import { syntheticTrace } from "../../../scheduler/simulator/synthetic.ts";

const HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens";
const azure = (...lines: string[]) => [HEADER, ...lines].join("\r\n");

describe("Azure CSV", () => {
  test("times count from the first request, to the fraction", () => {
    const trace = azure(
      "2023-11-16 23:59:59.9990005,374,44",
      "2023-11-17 00:00:01.5000000,396,109",
      "",
    );
    const [first, second, ...rest] = readTrace(trace);
    expect(first).toEqual({ arrivalMs: 0, numPromptTokens: 374, outputTokens: 44 });
    expect(second).toMatchObject({ numPromptTokens: 396, outputTokens: 109 });
    expect(second.arrivalMs).toBeCloseTo(1500.9995, 3);
    expect(rest).toEqual([]);
  });

  test("times of the later traces, which name the zone", () => {
    const trace = azure("2024-05-10 00:00:00.009930+00:00,1,2", "2024-05-10 00:00:01+00:00,1,2");
    expect(readTrace(trace)[1].arrivalMs).toBeCloseTo(990.07, 3);
  });

  test("requests out of order are sorted", () => {
    const trace = azure("2023-11-16 10:00:02,2,1", "2023-11-16 10:00:01,1,1");
    expect(readTrace(trace)).toEqual([
      { arrivalMs: 0, numPromptTokens: 1, outputTokens: 1 },
      { arrivalMs: 1000, numPromptTokens: 2, outputTokens: 1 },
    ]);
  });

  test.each<[string, RegExp]>([
    ["2023-11-16 10:00:00,5", /line 3 .*number of fields is 2; it must be 3/],
    ["2023-11-16 10:00:00,5,6,7", /line 3 .*number of fields is 4/],
    ["yesterday,5,6", /line 3 .*TIMESTAMP is "yesterday"; it must be like 2023-11-16/],
    ["2023-13-16 10:00:00,5,6", /line 3 .*TIMESTAMP is "2023-13-16/],
    ["2023-11-16 10:00:00,0,6", /line 3 .*ContextTokens is "0"; it must be a whole number of 1/],
    ["2023-11-16 10:00:00,5,6.5", /line 3 .*GeneratedTokens is "6.5"/],
    ["2023-11-16 10:00:00,5,-6", /line 3 .*GeneratedTokens is "-6".*correct the line or remove it/],
  ])("refuses %j", (line, message) => {
    refused(azure("2023-11-16 10:00:00,1,1", line), message);
  });
});

describe("Mooncake JSONL", () => {
  test("lengths, milliseconds and prefix hashes", () => {
    const lines = [
      { timestamp: 100, input_length: 1025, output_length: 8, hash_ids: [46, 47, 48] },
      { timestamp: 3150.5, input_length: 7, output_length: 1 },
    ];
    expect(readTrace(lines.map((line) => JSON.stringify(line)).join("\n"))).toEqual([
      { arrivalMs: 0, numPromptTokens: 1025, outputTokens: 8, prefixHashes: [46, 47, 48] },
      { arrivalMs: 3050.5, numPromptTokens: 7, outputTokens: 1 },
    ]);
  });

  const good = { timestamp: 0, input_length: 600, output_length: 1, hash_ids: [1, 2] };
  test.each<[string, RegExp]>([
    ["{", /line 2 .*the line is "\{"; it must be a JSON object/],
    ["null", /line 2 .*a JSON object/],
    [JSON.stringify({ ...good, timestamp: "0" }), /timestamp is "0"; it must be milliseconds/],
    [JSON.stringify({ ...good, timestamp: -1 }), /timestamp is -1/],
    [JSON.stringify({ ...good, input_length: undefined }), /input_length is missing/],
    [JSON.stringify({ ...good, output_length: 0 }), /output_length is 0/],
    [JSON.stringify({ ...good, hash_ids: [1, 2, 3] }), /hash_ids is .*at most 2 integers/],
    [JSON.stringify({ ...good, hash_ids: ["a"] }), /hash_ids is/],
  ])("refuses %j", (line, message) => {
    refused(`${JSON.stringify(good)}\n${line}`, message);
  });
});

test.each([
  ["", /line 1 of the trace is ""; it must be the header/],
  ["num_prefill_tokens,num_decode_tokens\n1,2", /line 1 of the trace is "num_prefill/],
  [`${HEADER},more\n`, /the header is/],
  [`${HEADER}\n`, /the trace has no request/],
])("refuses a trace %j", (text, message) => {
  refused(text, message);
});

describe("the built-in workload", () => {
  test("is the same for the same seed, and another for another", () => {
    expect(syntheticTrace(50, 3)).toEqual(syntheticTrace(50, 3));
    expect(syntheticTrace(50, 4)).not.toEqual(syntheticTrace(50, 3));
  });

  test("has the lengths of a conversation service", () => {
    const trace = syntheticTrace(20_000);
    const mean = (of: (request: (typeof trace)[number]) => number) =>
      trace.reduce((sum, request) => sum + of(request), 0) / trace.length;
    // The trace that the quantiles come from has 1,155 and 211.
    expect(mean((request) => request.numPromptTokens)).toBeCloseTo(1150, -2);
    expect(mean((request) => request.outputTokens)).toBeCloseTo(225, -2);
    expect(trace.at(-1)!.arrivalMs / trace.length).toBeCloseTo(1000, -2);
    expect(trace[0].arrivalMs).toBe(0);
    expect(Math.min(...trace.map(({ numPromptTokens }) => numPromptTokens))).toBeGreaterThan(1);
    expect(Math.min(...trace.map(({ outputTokens }) => outputTokens))).toBeGreaterThan(6);
  });
});

function refused(text: string, message: RegExp): void {
  try {
    readTrace(text);
  } catch (error) {
    expect(error).toBeInstanceOf(SchedulerError);
    expect(error).toMatchObject({ code: "bad_trace", message: expect.stringMatching(message) });
    return;
  }
  expect.fail("the trace was read");
}
