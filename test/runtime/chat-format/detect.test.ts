import { expect, it } from "vitest";
import { detectChatFormat } from "../../../runtime/chat-format/detect.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { localFolder } from "../../../runtime/model-folder/local-folder.ts";
import { TextModel } from "../../../runtime/text-model.ts";

const chatMl =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

it.each([
  ["no template", "", [], "plain"],
  ["turns alone", chatMl, ["<|im_start|>", "<|im_end|>"], "plain"],
  [
    "calls in tags",
    `${chatMl}{{ '<tool_call>' }}`,
    ["<tool_call>", "<think>", "</think>"],
    "hermes",
  ],
  [
    "calls in tags, and thinking that is taken out",
    `${chatMl}<tool_call>{{ c.split('</think>') }}`,
    [],
    "qwen3",
  ],
  ["calls in XML", `${chatMl}<tool_call>\n<function=x>`, [], "qwen3-coder"],
  ["thinking in the template", `${chatMl}{{ c.split('</think>')[-1] }}`, ["<tool_call>"], "think"],
  ["thinking in the vocabulary", chatMl, ["<think>", "</think>"], "think"],
  ["Llama's headers without tools", "<|start_header_id|>user", ["<|python_tag|>"], "plain"],
  ["Llama's headers and calls", `<|start_header_id|>{"name": n, "parameters": p}`, [], "llama3"],
  ["Mistral's lists", "[INST][TOOL_CALLS] [", [], "mistral"],
  ["Mistral's names", "[INST][TOOL_CALLS]{{ n }}[ARGS]", [], "mistral-v11"],
  ["Mistral's names, and thinking", "[TOOL_CALLS]{{ n }}[ARGS]", ["[THINK]"], "magistral"],
  ["harmony", "<|start|>assistant<|channel|>final<|message|>", [], "gpt-oss"],
])("%s", (_, template, addedTokens, name) => {
  expect(detectChatFormat({ template, addedTokens })).toBe(name);
});

it("the demo model calls and thinks as Qwen3 does", async () => {
  const { template, tokenizer } = await TextModel.open(localFolder("assets/demo"));
  const { addedTokens } = tokenizer;
  expect(detectChatFormat({ template: template.source, addedTokens })).toBe("qwen3");
});

it.each([
  ["qwen3", "<|im_start|>assistant\n<think>\n", true],
  ["qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n", false],
  ["qwen3", "<|im_start|>assistant\n", false],
  ["qwen3-coder", "<|im_start|>assistant\n<think>\n", true],
  ["think", "<｜Assistant｜><think>", true],
  ["magistral", "[/INST][THINK]", true],
  ["mistral", "[/INST][THINK]", false],
  ["hermes", "<think>", false],
  ["gpt-oss", "<|start|>assistant", false],
  ["gpt-oss", "<|start|>assistant<|channel|>analysis<|message|>", true],
] as const)("%s after %j: thinking has begun: %s", async (name, prompt, begun) => {
  expect((await loadChatFormat(name)).startsThinking(prompt)).toBe(begun);
});

it.each([
  ["qwen3", "none", { enable_thinking: false }],
  ["qwen3", "low", { enable_thinking: true }],
  ["qwen3", undefined, {}],
  ["think", "none", { enable_thinking: false, thinking: false }],
  ["gpt-oss", "none", { reasoning_effort: "low" }],
  ["gpt-oss", "xhigh", { reasoning_effort: "high" }],
  ["gpt-oss", undefined, {}],
  ["magistral", "none", { reasoning_effort: "none" }],
  ["hermes", "high", {}],
  ["plain", "high", {}],
] as const)("%s is told to think with effort %s", async (name, reasoningEffort, variables) => {
  const format = await loadChatFormat(name);
  expect(format.templateVariables({ reasoningEffort })).toEqual(variables);
});
