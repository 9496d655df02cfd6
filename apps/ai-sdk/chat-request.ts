/**
 * The AI SDK's call options as an OpenAI-shaped request. What has no meaning here becomes a warning, as the
 * AI SDK asks for; what would change the answer if it were left out is an error.
 */
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3ToolChoice,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { ChatCompletionRequest } from "../../worker.ts";
import { chatMessages } from "./chat-messages.ts";
import { CHAT_FIELDS, ownOptions } from "./own-options.ts";

type ToolFields = Pick<LanguageModelV3CallOptions, "tools" | "toolChoice">;

/** @throws {WeftError} `bad_request` for a prompt with files. */
export function chatRequest(options: LanguageModelV3CallOptions): {
  readonly request: ChatCompletionRequest;
  readonly warnings: SharedV3Warning[];
} {
  const warnings: SharedV3Warning[] = [];
  const request = {
    messages: chatMessages(options.prompt),
    max_completion_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    top_k: options.topK,
    seed: options.seed,
    stop: options.stopSequences?.length ? options.stopSequences : undefined,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    response_format: responseFormat(options.responseFormat),
    ...toolFields(options, warnings),
    ...ownOptions(options.providerOptions, CHAT_FIELDS, warnings),
  };
  const given = Object.entries(request).filter(([, value]) => value !== undefined);
  return { request: Object.fromEntries(given) as unknown as ChatCompletionRequest, warnings };
}

function responseFormat(format: LanguageModelV3CallOptions["responseFormat"]): object | undefined {
  if (format?.type !== "json") return undefined;
  const { schema, name = "answer", description } = format;
  if (schema === undefined) return { type: "json_object" };
  return {
    type: "json_schema",
    json_schema: { name, ...(description !== undefined && { description }), schema, strict: true },
  };
}

function toolFields({ tools, toolChoice }: ToolFields, warnings: SharedV3Warning[]) {
  const functions: object[] = [];
  for (const tool of tools ?? []) {
    if (tool.type === "provider") {
      warnings.push({
        type: "unsupported",
        feature: `tool ${tool.id}`,
        details: "Weft runs no tools of its own; define it with an execute function",
      });
      continue;
    }
    const { name, description, inputSchema: parameters, strict } = tool;
    functions.push({ type: "function", function: { name, description, parameters, strict } });
  }
  if (functions.length === 0) return {};
  return { tools: functions, tool_choice: toolChoice && choiceOf(toolChoice) };
}

const choiceOf = (choice: LanguageModelV3ToolChoice) =>
  choice.type === "tool" ? { type: "function", function: { name: choice.toolName } } : choice.type;
