import type { AnswerCase } from "../read-answer.ts";
import { hermes } from "./hermes.ts";
import { qwen3 } from "./qwen3.ts";

const schemas = new Map([
  [
    "write",
    {
      type: "object",
      properties: {
        path: { type: "string" },
        lines: { type: "integer" },
        force: { type: "boolean" },
        parts: { type: "array" },
        owner: { anyOf: [{ type: "string" }, { type: "null" }] },
        mode: { $ref: "#/$defs/mode" },
      },
    },
  ],
]);
const options = { schemas };
const written = (parameters: string) =>
  `<tool_call>\n<function=write>\n${parameters}</function>\n</tool_call>`;

export const qwen3Coder: readonly AnswerCase[] = [
  ...hermes,
  ...qwen3,
  {
    title: "values by the schema's types",
    text: written(
      '<parameter=path>\n/a "b"\n\n</parameter>\n<parameter=lines>\n12\n</parameter>\n<parameter=force>True</parameter>\n<parameter=parts>\n[1, {}]\n</parameter>\n<parameter=owner>\nnull\n</parameter>\n<parameter=mode>\n{"x": 1}\n</parameter>\n',
    ),
    options,
    says: {
      calls: [
        [
          "write",
          '{"path": "/a \\"b\\"\\n", "lines": 12, "force": true, "parts": [1, {}], "owner": null, "mode": {"x": 1}}',
        ],
      ],
    },
  },
  {
    title: "values that are not of their type are strings",
    text: written(
      "<parameter=path>\n12\n</parameter>\n<parameter=lines>\nmany\n</parameter>\n<parameter=owner>\n7\n</parameter>\n<parameter=mode>\n0644\n</parameter>\n",
    ),
    options,
    says: {
      calls: [["write", '{"path": "12", "lines": "many", "owner": "7", "mode": "0644"}']],
    },
  },
  {
    title: "no schema: strings; no parameters",
    text: `${written("<parameter=n>\n1\n</parameter>\n")}\n<tool_call>\n<function=list>\n</function>\n</tool_call>`,
    says: {
      calls: [
        ["write", '{"n": "1"}'],
        ["list", "{}"],
      ],
    },
  },
  {
    title: "text with markup and line breaks",
    text: written("<parameter=path>\n  <b>\n</b> </parameter\n\n</parameter>\n"),
    options,
    says: { calls: [["write", '{"path": "  <b>\\n</b> </parameter\\n"}']] },
  },
  {
    title: "no tags around the function, ends of values left out",
    text: "I write.\n<function=write>\n<parameter=path>\n/a\n<parameter=lines>\n3\n</function>",
    options,
    says: { content: "I write.", calls: [["write", '{"path": "/a", "lines": 3}']] },
  },
  {
    title: "cut off in a value",
    text: "<tool_call>\n<function=write>\n<parameter=lines>\n1\n</parameter>\n<parameter=path>\n/a/b",
    options,
    says: { calls: [["write", '{"lines": 1, "path": "/a/b']] },
  },
  {
    title: "cut off in a value that is JSON",
    text: "<tool_call>\n<function=write>\n<parameter=lines>\n1",
    options,
    says: { calls: [["write", '{"lines": 1']] },
  },
  {
    title: "no function, word for word",
    text: "<tool_call>\n<function=>\n</function>\n</tool_call> <function=a b>",
    says: { content: "<tool_call>\n<function=>\n</function>\n</tool_call> <function=a b>" },
  },
];
