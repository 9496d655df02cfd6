import type { AnswerCase } from "../read-answer.ts";

const call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>';

/** Thinking in `<think>` tags, of all families that have them. */
export const thinking: readonly AnswerCase[] = [
  {
    title: "thinks, then answers",
    text: "<think>\n7 + 8 is 15.\n</think>\n\nThe sum is 15.",
    says: { reasoning: "7 + 8 is 15.", content: "The sum is 15." },
  },
  {
    title: "an empty block",
    text: "<think>\n\n</think>\n\nYes.",
    says: { content: "Yes." },
  },
  {
    title: "the prompt has opened the block",
    text: "7 + 8 is 15.\n</think>\nThe sum is 15.",
    options: { startsThinking: true },
    says: { reasoning: "7 + 8 is 15.", content: "The sum is 15." },
  },
  {
    title: "the prompt has opened it, and the answer does again",
    text: "<think>\nHm.</think>Yes.",
    options: { startsThinking: true },
    says: { reasoning: "Hm.", content: "Yes." },
  },
  {
    title: "cut off in thinking",
    text: "<think>\nFirst, I < 3 consider",
    says: { reasoning: "First, I < 3 consider" },
  },
  {
    title: "cut off in the closing tag",
    text: "<think>\nFirst</thi",
    says: { reasoning: "First</thi" },
  },
  {
    title: "tags that are spoken of later are content",
    text: "<think>a</think>Write <think> and </think>.",
    says: { reasoning: "a", content: "Write <think> and </think>." },
  },
  {
    title: "no thinking",
    text: "  Yes, <b>this</b>.\n",
    says: { content: "  Yes, <b>this</b>.\n" },
  },
  { title: "space alone", text: " \n", says: { content: " \n" } },
];

export const qwen3: readonly AnswerCase[] = [
  ...thinking,
  {
    title: "thinks, then calls",
    text: `<think>\nI need f.\n</think>\n\n${call}`,
    says: { reasoning: "I need f.", calls: [["f", '{"a": 1}']] },
  },
  {
    title: "a tag in thinking is thinking",
    text: `<think>I could write <tool_call> here.</think>${call}\n`,
    says: { reasoning: "I could write <tool_call> here.", calls: [["f", '{"a": 1}']] },
  },
  {
    title: "an empty block, words, a call",
    text: `<think>\n\n</think>\n\nLet me see.\n${call}`,
    says: { content: "Let me see.", calls: [["f", '{"a": 1}']] },
  },
  {
    title: "space, then a call",
    text: `\n${call}`,
    says: { calls: [["f", '{"a": 1}']] },
  },
  {
    title: "thinks where no tools are given",
    text: `<think>a</think>${call}`,
    options: { tools: false },
    says: { reasoning: "a", content: call },
  },
];
