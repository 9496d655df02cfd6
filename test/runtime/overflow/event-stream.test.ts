// Events come out whole, wherever the bytes are cut.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventStream } from "../../../runtime/overflow/event-stream.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

function eventsOf(text: string, cuts: readonly number[] = []): string[] {
  const bytes = bytesOf(text);
  const stream = new EventStream();
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let at = 0;
  return ends.flatMap((end) => {
    const events = stream.push(bytes.subarray(at, end));
    at = end;
    return events;
  });
}

describe("events", () => {
  test.each([
    ["one", "data: a\n\n", ["a"]],
    ["two", "data: a\n\ndata: b\n\n", ["a", "b"]],
    ["of several lines", "data: a\ndata: b\ndata\ndata:\ndata:c\n\n", ["a\nb\n\n\nc"]],
    ["with CRLF", "data: a\r\ndata: b\r\n\r\n", ["a\nb"]],
    ["with CR", "data: a\rdata: b\r\rdata: c\n\n", ["a\nb", "c"]],
    ["between comments", ": ping\n\ndata: a\n: ping\n\n", ["a"]],
    ["with other fields", "event: x\nid: 3\nretry: 9\ndata: a\nnonsense\ndatabase: b\n\n", ["a"]],
    ["behind a byte order mark", "\uFEFFdata: a\n\n", ["a"]],
    ["without data", "event: x\n\n\n\n", []],
    ["that are empty", "data:\n\n", [""]],
    ["whose end is missing", "data: a\n\ndata: b\n", ["a"]],
    ["with one space less than there is", "data:  a\n\n", [" a"]],
  ])("%s", (_, text, events) => {
    expect(eventsOf(text)).toEqual(events);
  });

  test("are the same however they are cut", () => {
    const line = fc.constantFrom("\n", "\r\n", "\r");
    const word = fc.string({ unit: fc.constantFrom("a", " ", "é", "漢", "😀", ":"), maxLength: 6 });
    const field = fc.constantFrom("data: ", "data:", ": ", "event: ", "");
    const text = fc
      .array(fc.tuple(field, word, line), { maxLength: 20 })
      .map((lines) => `${lines.map((parts) => parts.join("")).join("")}\n\n`);
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 12 }), (all, cuts) => {
        expect(eventsOf(all, cuts)).toEqual(eventsOf(all));
      }),
      { numRuns: 300 },
    );
  });

  test("are the same byte by byte", () => {
    const text = 'data: {"é": "😀漢"}\r\n\r\n: ping\r\rdata: x\ndata: y\n\n';
    const every = Array.from({ length: bytesOf(text).length }, (_, i) => i);
    expect(eventsOf(text, every)).toEqual(['{"é": "😀漢"}', "x\ny"]);
  });

  test("have an end, or are refused", () => {
    const stream = new EventStream();
    const endless = bytesOf("x".repeat(2 ** 20));
    expect(() => {
      for (let i = 0; i < 8; i++) stream.push(endless);
    }).toThrow(/longer than/);
    const lines = new EventStream();
    const many = bytesOf(`${"data: ".padEnd(1000, "x")}\n`.repeat(1000));
    expect(() => {
      for (let i = 0; i < 8; i++) lines.push(many);
    }).toThrow(/longer than/);
  });
});
