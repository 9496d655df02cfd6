// Tasks from a file that nobody vouches for, and how sure a share of them is.

import { expect, test } from "vitest";
import { readTasks } from "../../../runtime/calibration/task-accuracy.ts";
import { wilsonInterval } from "../../../runtime/calibration/wilson.ts";
import { WeftError } from "../../../runtime/errors.ts";

test("reads prompts and messages, and passes over what it does not know", () => {
  const messages = [{ role: "user", content: "1 + 1?" }];
  const text = [
    JSON.stringify({ prompt: "1+1=", answer: "2", id: 7 }),
    "",
    JSON.stringify({ messages, tools: [], enableThinking: false, answer: "2" }),
  ].join("\r\n");
  expect(readTasks(text, "t.jsonl")).toEqual([
    { prompt: "1+1=", answer: "2" },
    { messages, tools: [], enableThinking: false, answer: "2" },
  ]);
});

test.each<[string, string, RegExp]>([
  ["no task", "\n\n", /t\.jsonl has no task; write one JSON object/],
  ["no JSON", '{"prompt": "x", "answer": "y"}\n{"prompt"', /line 2 is .*it must be JSON/],
  ["no answer", '{"prompt": "x"}', /line 1 is .*its answer must be a text/],
  ["a number to answer", '{"prompt": "x", "answer": 2}', /its answer must be a text/],
  ["nothing asked", '{"answer": "2"}', /one of prompt and messages/],
  [
    "asked twice",
    '{"prompt": "x", "messages": [{"role": "user"}], "answer": "2"}',
    /one of prompt/,
  ],
  [
    "no message",
    '{"messages": [], "answer": "2"}',
    /messages must be a list of objects with a role/,
  ],
  ["a message of no one", '{"messages": ["x"], "answer": "2"}', /with a role/],
  ["tools that are none", '{"prompt": "x", "tools": 1, "answer": "2"}', /tools must be a list/],
  ["null", "null", /its answer must be a text/],
])("refuses %s", (_, text, message) => {
  const read = () => readTasks(text, "t.jsonl");
  expect(read).toThrow(message);
  expect(read).toThrow(WeftError);
});

test("the interval is Wilson's", () => {
  // Wilson's score interval as tables have it (Newcombe 1998, example 81 of 263).
  const [low, high] = wilsonInterval(81, 263);
  expect(low).toBeCloseTo(0.2553, 4);
  expect(high).toBeCloseTo(0.3662, 4);
  expect(wilsonInterval(0, 10)[0]).toBeCloseTo(0, 12);
  expect(wilsonInterval(10, 10)[1]).toBeCloseTo(1, 12);
});
