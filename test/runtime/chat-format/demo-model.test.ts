// The demo model's own prompts and answers, as they are kept for the engine's tests.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { normaliseMessages } from "../../../runtime/chat-format/messages.ts";
import { toolUse } from "../../../runtime/chat-format/tools.ts";
import { localFolder } from "../../../runtime/model-folder/local-folder.ts";
import { TextModel } from "../../../runtime/text-model.ts";
import { joined, readParts } from "./read-answer.ts";

interface Prompt {
  readonly name: string;
  readonly messages: readonly object[];
  readonly tools?: readonly object[];
  readonly enableThinking?: boolean;
  readonly promptTokenIds: readonly number[];
  readonly check: { readonly toolCall?: { name: string; arguments: object } };
  readonly text: string;
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const { prompts } = read("test/fixtures/demo/prompts.json") as { prompts: Prompt[] };
const text = await TextModel.open(localFolder("assets/demo"));
const format = await loadChatFormat("qwen3");

it.each(prompts)("$name", ({ messages, tools, enableThinking, promptTokenIds, check, ...said }) => {
  const { shown } = toolUse({ tools });
  const rendered = text.template.render({
    messages: normaliseMessages(messages),
    tools: shown,
    enableThinking,
  });
  const ids = text.tokenizer.encode(rendered, { addSpecialTokens: false });
  expect(ids).toEqual(promptTokenIds);
  expect(format.startsThinking(rendered)).toBe(false);

  const answer = joined(readParts(format, [said.text], { tools: shown !== undefined }));
  const { toolCall } = check;
  if (toolCall) {
    expect(answer.calls?.map(([name, json]) => ({ name, arguments: JSON.parse(json) }))).toEqual([
      toolCall,
    ]);
    expect(answer.content).toBeUndefined();
  } else {
    const [, thought, rest] = /^(?:<think>\n(.*?)\n<\/think>\s*)?(.*)$/s.exec(said.text)!;
    expect(answer.reasoning).toBe(thought);
    expect(answer.content).toBe(rest);
  }
});
