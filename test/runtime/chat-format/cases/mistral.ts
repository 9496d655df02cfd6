import type { AnswerCase } from "../read-answer.ts";

export const mistral: readonly AnswerCase[] = [
  { title: "words alone", text: "[1] See below.", says: { content: "[1] See below." } },
  {
    title: "older: a list",
    text: '[TOOL_CALLS] [{"name": "f", "arguments": {"x": "]"}}, {"name": "g", "arguments": {}}]',
    says: {
      calls: [
        ["f", '{"x": "]"}'],
        ["g", "{}"],
      ],
    },
  },
  {
    title: "older: cut off in the second",
    text: '[TOOL_CALLS][{"name": "f", "arguments": {}}, {"name": "g", "argum',
    says: { content: ', {"name": "g", "argum', calls: [["f", "{}"]] },
  },
  {
    title: "older: no list of calls",
    text: "[TOOL_CALLS] [1, 2]",
    says: { content: "[TOOL_CALLS] [1, 2]" },
  },
  {
    title: "newer: name and arguments",
    text: 'Let me look.[TOOL_CALLS]f[ARGS]{"x": "[TOOL_CALLS]"}[TOOL_CALLS]g[ARGS]{}',
    says: {
      content: "Let me look.",
      calls: [
        ["f", '{"x": "[TOOL_CALLS]"}'],
        ["g", "{}"],
      ],
    },
  },
  {
    title: "newer: with an id, and without markers between",
    text: '[TOOL_CALLS]f[CALL_ID]abcDEF123[ARGS]{"x": 1}[TOOL_CALLS]g {"y": 2}',
    says: {
      calls: [
        ["f", '{"x": 1}'],
        ["g", '{"y": 2}'],
      ],
    },
  },
  {
    title: "newer: cut off in the arguments",
    text: '[TOOL_CALLS]f[ARGS]{"x": "a',
    says: { calls: [["f", '{"x": "a']] },
  },
  {
    title: "newer: cut off in the name",
    text: "[TOOL_CALLS]get_wea",
    says: { content: "[TOOL_CALLS]get_wea" },
  },
  {
    title: "newer: arguments that are none",
    text: "[TOOL_CALLS]f[ARGS]x=1",
    says: { content: "[TOOL_CALLS]f[ARGS]x=1" },
  },
  {
    title: "arguments that another call cuts short",
    text: '[TOOL_CALLS]f[ARGS]{"x": 1[TOOL_CALLS]g[ARGS]{}',
    says: {
      calls: [
        ["f", '{"x": 1'],
        ["g", "{}"],
      ],
    },
  },
];

export const magistral: readonly AnswerCase[] = [
  ...mistral,
  {
    title: "thinks, then answers",
    text: "[THINK]7 + 8 is 15.[/THINK]The sum is 15.",
    says: { reasoning: "7 + 8 is 15.", content: "The sum is 15." },
  },
  {
    title: "thinks, then calls",
    text: "[THINK]I need f.[/THINK][TOOL_CALLS]f[ARGS]{}",
    says: { reasoning: "I need f.", calls: [["f", "{}"]] },
  },
];
