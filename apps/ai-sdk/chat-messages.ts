/** The AI SDK's prompt as OpenAI-shaped messages. Refuses what no model of ours can read: files, images. */
import type { LanguageModelV3Prompt, LanguageModelV3ToolResultPart } from "@ai-sdk/provider";
import { type ChatMessage, WeftError } from "../../worker.ts";

type Message = LanguageModelV3Prompt[number];
type Assistant = Extract<Message, { role: "assistant" }>;
type ToolOutput = LanguageModelV3ToolResultPart["output"];

/** @throws {WeftError} `bad_request` for a part that is no text. */
export const chatMessages = (prompt: LanguageModelV3Prompt): ChatMessage[] =>
  prompt.flatMap((message): ChatMessage[] => {
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }];
      case "user":
        return [{ role: "user", content: message.content.map(textOf).join("\n") }];
      case "assistant":
        return assistantMessages(message);
      case "tool":
        // Approvals are between the AI SDK and tools that a provider runs; we run none.
        return message.content.flatMap((part) =>
          part.type === "tool-result" ? [toolMessage(part)] : [],
        );
      default:
        return refused(`a message of the role ${(message as { role: unknown }).role}`);
    }
  });

/** What it said, and behind it what tools answered, if a provider ran them. */
function assistantMessages({ content }: Assistant): ChatMessage[] {
  let text = "";
  let reasoning = "";
  const calls: object[] = [];
  const results: ChatMessage[] = [];
  for (const part of content) {
    if (part.type === "reasoning") reasoning += part.text;
    else if (part.type === "tool-result") results.push(toolMessage(part));
    else if (part.type !== "tool-call") text += textOf(part);
    else {
      const { toolCallId: id, toolName: name, input } = part;
      calls.push({ id, type: "function", function: { name, arguments: argumentsOf(input) } });
    }
  }
  const said: ChatMessage = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return [said, ...results];
}

const toolMessage = ({
  toolCallId,
  toolName,
  output,
}: LanguageModelV3ToolResultPart): ChatMessage => ({
  role: "tool",
  tool_call_id: toolCallId,
  name: toolName,
  content: outputText(output),
});

function outputText(output: ToolOutput): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value.map(textOf).join("\n");
    default:
      return refused(`a tool's output of the type ${(output as { type: unknown }).type}`);
  }
}

const textOf = (part: { readonly type: string; readonly text?: string }): string =>
  part.type === "text" && part.text !== undefined
    ? part.text
    : refused(`a part of the type ${part.type}${mediaType(part)}`);

const mediaType = (part: object): string =>
  "mediaType" in part && part.mediaType ? ` (${part.mediaType})` : "";

/** Those that were no JSON are kept as the text that the model wrote. */
const argumentsOf = (input: unknown): string =>
  typeof input === "string" ? input : JSON.stringify(input ?? {});

function refused(what: string): never {
  throw new WeftError(
    "bad_request",
    `the prompt has ${what}, which these models cannot read; give them its text instead, or take another provider`,
  );
}
