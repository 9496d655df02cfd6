import type { AnswerCase } from "../read-answer.ts";

const call = '{"name": "get_weather", "parameters": {"city": "Oslo"}}';
const made = ["get_weather", '{"city": "Oslo"}'] as const;

export const llama3: readonly AnswerCase[] = [
  { title: "words alone", text: "It is {sunny}.", says: { content: "It is {sunny}." } },
  { title: "a call alone", text: call, says: { calls: [made] } },
  { title: "a tag and a call", text: `<|python_tag|>${call}`, says: { calls: [made] } },
  {
    title: "several calls",
    text: `<|python_tag|>${call}; {"name": "f", "arguments": {}};\n${call}`,
    says: { calls: [made, ["f", "{}"], made] },
  },
  {
    title: "a tag before each call",
    text: `<|python_tag|>${call}\n<|python_tag|>${call}`,
    says: { calls: [made, made] },
  },
  {
    title: "the type and name as the smaller models write them",
    text: '\n{"type": "function", "function": "f", "parameters": {"x": "}"}}\n',
    says: { calls: [["f", '{"x": "}"}']] },
  },
  {
    title: "words, then a tag",
    text: `Let me look. <|python_tag|>${call}`,
    says: { content: "Let me look.", calls: [made] },
  },
  {
    title: "words behind a call",
    text: `${call}; and then?`,
    says: { content: "; and then?", calls: [made] },
  },
  {
    title: "Python code, word for word",
    text: '<|python_tag|>brave_search.call(query="{x}")',
    says: { content: '<|python_tag|>brave_search.call(query="{x}")' },
  },
  {
    title: "an answer in JSON is no call",
    text: '{"city": "Oslo", "name": "f", "parameters": {}}',
    says: { content: '{"city": "Oslo", "name": "f", "parameters": {}}' },
  },
  {
    title: "a name without parameters is no call",
    text: '{"name": "Anna"}',
    says: { content: '{"name": "Anna"}' },
  },
  {
    title: "JSON in mid-text is content",
    text: `Write ${call}`,
    says: { content: `Write ${call}` },
  },
  {
    title: "cut off in its arguments",
    text: '{"name": "f", "parameters": {"x": {"y": 2',
    says: { calls: [["f", '{"x": {"y": 2']] },
  },
  {
    title: "without tools everything is content",
    text: call,
    options: { tools: false },
    says: { content: call },
  },
];
