import type { AnswerCase } from "../read-answer.ts";

const weather = '{"city": "Oslo"}';
const call = `<tool_call>\n{"name": "get_weather", "arguments": ${weather}}\n</tool_call>`;

export const hermes: readonly AnswerCase[] = [
  { title: "words alone", text: "Hello there.\n", says: { content: "Hello there.\n" } },
  { title: "a call alone", text: call, says: { calls: [["get_weather", weather]] } },
  {
    title: "a call on one line",
    text: `<tool_call>{"name":"get_weather","arguments":{"city":"Oslo"}}</tool_call>`,
    says: { calls: [["get_weather", '{"city":"Oslo"}']] },
  },
  {
    title: "words before and after",
    text: `Let me look.\n\n${call}\nOne moment.`,
    says: { content: "Let me look.\nOne moment.", calls: [["get_weather", weather]] },
  },
  {
    title: "two calls",
    text: `${call}\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>\n`,
    says: {
      calls: [
        ["get_weather", weather],
        ["get_time", "{}"],
      ],
    },
  },
  {
    title: "two calls, the first of them not closed",
    text: `<tool_call>\n{"name": "a", "arguments": {}}\n${call}`,
    says: {
      calls: [
        ["a", "{}"],
        ["get_weather", weather],
      ],
    },
  },
  {
    title: "arguments before the name, and other keys",
    text: '<tool_call>{"id": 7, "arguments": {"a": [1, {"b": 2}]}, "tags": ["x"], "name": "f"}</tool_call>',
    says: { calls: [["f", '{"a": [1, {"b": 2}]}']] },
  },
  {
    title: "no arguments, null arguments, arguments in a string",
    text: '<tool_call>{"name": "f"}</tool_call><tool_call>{"name": "g", "arguments": null}</tool_call><tool_call>{"name": "h", "arguments": "{\\"x\\": \\"a\\\\n\\"}"}</tool_call>',
    says: {
      calls: [
        ["f", "{}"],
        ["g", "{}"],
        ["h", '{"x": "a\\n"}'],
      ],
    },
  },
  {
    title: "strings that hold markers, braces and escapes",
    text: '<tool_call>\n{"name": "say", "arguments": {"text": "</tool_call> } \\" \\\\", "u": "\\u00e9\\ud83d\\ude00 é😀"}}\n</tool_call>',
    says: {
      calls: [["say", '{"text": "</tool_call> } \\" \\\\", "u": "\\u00e9\\ud83d\\ude00 é😀"}']],
    },
  },
  {
    title: "a brace too many",
    text: '<tool_call>\n{"name": "f", "arguments": {"x": 1}}}\n</tool_call> done',
    says: { content: "done", calls: [["f", '{"x": 1}']] },
  },
  {
    title: "a brace too few",
    text: '<tool_call>\n{"name": "f", "arguments": {"x": 1}\n</tool_call>',
    says: { calls: [["f", '{"x": 1}']] },
  },
  {
    title: "arguments that are not closed before the tag",
    text: '<tool_call>{"name": "f", "arguments": {"x": [1, 2</tool_call>\nSo.',
    says: { content: "So.", calls: [["f", '{"x": [1, 2']] },
  },
  {
    title: "cut off in its arguments",
    text: '<tool_call>\n{"name": "f", "arguments": {"x": "abc',
    says: { calls: [["f", '{"x": "abc']] },
  },
  {
    title: "cut off in its name",
    text: 'Well.\n<tool_call>\n{"name": "get_wea',
    says: { content: 'Well.\n<tool_call>\n{"name": "get_wea' },
  },
  {
    title: "cut off in a tag",
    text: "Well. <tool_c",
    says: { content: "Well. <tool_c" },
  },
  {
    title: "malformed calls, word for word",
    text: `a\n<tool_call>\nget_weather(Oslo)\n</tool_call>\n${call}\n<tool_call>{"name": "", "arguments": {}}</tool_call>`,
    says: {
      content:
        'a\n<tool_call>\nget_weather(Oslo)\n</tool_call>\n<tool_call>{"name": "", "arguments": {}}</tool_call>',
      calls: [["get_weather", weather]],
    },
  },
  {
    title: "arguments that are a list or a number are no call",
    text: '<tool_call>{"name": "f", "arguments": [1]}</tool_call><tool_call>{"name": "f", "arguments": 3}</tool_call>',
    says: {
      content:
        '<tool_call>{"name": "f", "arguments": [1]}</tool_call><tool_call>{"name": "f", "arguments": 3}</tool_call>',
    },
  },
  {
    title: "words between a call and its closing tag",
    text: '<tool_call>{"name": "f", "arguments": {}} and so on</tool_call>',
    says: { content: " and so on</tool_call>", calls: [["f", "{}"]] },
  },
  {
    title: "without tools everything is content",
    text: `a\n${call}\n`,
    options: { tools: false },
    says: { content: `a\n${call}\n` },
  },
  { title: "nothing", text: "", says: {} },
];
