import type { AnswerCase } from "../read-answer.ts";

const analysis = "<|channel|>analysis<|message|>We add 7 and 8.<|end|>";
const call = (name: string, json: string) =>
  `<|start|>assistant<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>${json}`;

export const gptOss: readonly AnswerCase[] = [
  {
    title: "thinks, then answers",
    text: `${analysis}<|start|>assistant<|channel|>final<|message|>It is 15.\n`,
    says: { reasoning: "We add 7 and 8.", content: "It is 15.\n" },
  },
  {
    title: "answers at once",
    text: "<|channel|>final<|message|>It is {15}.<|return|>",
    says: { content: "It is {15}." },
  },
  {
    title: "thinks, then calls",
    text: `${analysis}${call("get_weather", '{"city": "Oslo <|end|>"}')}`,
    says: { reasoning: "We add 7 and 8.", calls: [["get_weather", '{"city": "Oslo <|end|>"}']] },
  },
  {
    title: "a recipient beside the role, as the template writes it",
    text: '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"a":1}<|call|>',
    says: { reasoning: "Hm.", calls: [["f", '{"a":1}']] },
  },
  {
    title: "a recipient at once",
    text: " to=functions.f<|channel|>commentary<|message|>{}",
    says: { calls: [["f", "{}"]] },
  },
  {
    title: "a preamble, two calls, no arguments",
    text: `<|channel|>commentary<|message|>Let me look.<|end|>${call("f", '{"x":1}')}<|call|>${call("g", "")}`,
    says: {
      content: "Let me look.",
      calls: [
        ["f", '{"x":1}'],
        ["g", "{}"],
      ],
    },
  },
  {
    title: "several messages of a channel",
    text: `${analysis}<|start|>assistant<|channel|>analysis<|message|>Check.<|end|><|start|>assistant<|channel|>commentary<|message|>So:<|end|><|start|>assistant<|channel|>final<|message|>15`,
    says: { reasoning: "We add 7 and 8.\n\nCheck.", content: "So:\n\n15" },
  },
  {
    title: "a tool that is no function of ours",
    text: '<|channel|>analysis to=browser.search code<|message|>{"query": "x"}',
    says: { calls: [["browser.search", '{"query": "x"}']] },
  },
  {
    title: "a call whose arguments are no object, word for word",
    text: "<|channel|>commentary to=python code<|message|>print(1)\n<|call|>",
    says: { content: "<|channel|>commentary to=python code<|message|>print(1)" },
  },
  {
    title: "cut off in thinking",
    text: "<|channel|>analysis<|message|>We need",
    says: { reasoning: "We need" },
  },
  {
    title: "cut off in a header",
    text: `${analysis}<|start|>assistant<|channel|>fin`,
    says: { reasoning: "We add 7 and 8." },
  },
  {
    title: "cut off in a call's header",
    text: "<|channel|>commentary to=functions.get_wea",
    says: { content: "<|channel|>commentary to=functions.get_wea" },
  },
  {
    title: "cut off in arguments",
    text: `${analysis}${call("f", '{"x": [1')}`,
    says: { reasoning: "We add 7 and 8.", calls: [["f", '{"x": [1']] },
  },
  {
    title: "ends left out",
    text: "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>15<|start|>assistant<|channel|>commentary<|message|>!",
    says: { reasoning: "Hm.", content: "15\n\n!" },
  },
  { title: "no header", text: "It is 15.", says: { content: "It is 15." } },
  {
    title: "the prompt has opened the analysis",
    text: "We add.<|end|><|start|>assistant<|channel|>final<|message|>15",
    options: { startsThinking: true },
    says: { reasoning: "We add.", content: "15" },
  },
  {
    title: "another's message, word for word",
    text: `${call("f", "{}")}<|call|><|start|>functions.f to=assistant<|channel|>commentary<|message|>{"ok": 1}<|end|>`,
    says: {
      content: '<|start|>functions.f to=assistant<|channel|>commentary<|message|>{"ok": 1}',
      calls: [["f", "{}"]],
    },
  },
  {
    title: "without tools calls are content",
    text: `${analysis}${call("f", "{}")}`,
    options: { tools: false },
    says: {
      reasoning: "We add 7 and 8.",
      content: call("f", "{}"),
    },
  },
];
