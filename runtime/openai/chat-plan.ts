/** From a chat request to what the engine is asked, and how its answers are read. */
import type { ChatFormat, ParserOptions } from "../chat-format/chat-format.ts";
import { type GenerateRequest, refuse } from "../request.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";
import type { PlannedPrompt, PromptHost } from "./planned-prompt.ts";
import { generateRequest, mostPromptTokens } from "./shared-request.ts";

interface PlanHost extends PromptHost {
  readonly plan: { readonly spec: { readonly vocabSize: number }; readonly maxContext: number };
}

export interface ChatPlan {
  readonly generate: GenerateRequest;
  readonly format: ChatFormat;
  readonly reading: ParserOptions;
}

/** @throws {WeftError} `bad_request`, `request_too_long`, `chat_template_failed`, `no_chat_template`. */
export async function planChat(
  engine: PlanHost,
  request: ChatCompletionRequest,
): Promise<ChatPlan> {
  const { top_logprobs: topLogprobs, max_completion_tokens: maxCompletionTokens } = request;
  if (topLogprobs && !request.logprobs) {
    refuse("top_logprobs", topLogprobs, "left out unless logprobs is true");
  }
  const { maxContext, spec } = engine.plan;
  const { tokenizer } = engine.text;
  const mostTokens = mostPromptTokens(request, maxContext);
  if (Object(request.messages).length > mostTokens) {
    (await longText()).refuseManyMessages(request.messages, mostTokens);
  }
  const format = await engine.text.chatFormat();
  const planned = isPlain(request)
    ? { text: plainText(engine, request, format) }
    : await (await import("./prompt-plan.ts")).planPrompt(engine, request, format);
  const { text, constraint, thinking, goesOn, tools }: PlannedPrompt = planned;
  if (text.length > 4 * mostTokens) {
    (await longText()).refuseLongText(text, tokenizer, mostTokens);
  }
  const prompt = tokenizer.encode(text, { addSpecialTokens: false });
  const maxTokens = maxCompletionTokens ?? request.max_tokens ?? undefined;
  const own = {
    ...{ prompt, maxTokens, constraint, goesOn },
    thinking: thinking?.(maxTokens ?? Math.max(1, maxContext - prompt.length)),
    topLogprobs: request.logprobs ? (topLogprobs ?? 0) : undefined,
    skipSpecialTokens: !format.readsSpecialTokens,
  };
  const generate = generateRequest(request, own, spec.vocabSize, {
    ...(maxCompletionTokens != null && { maxTokens: "max_completion_tokens" }),
    constraint: "response_format",
  });
  const startsThinking = format.startsThinking(text);
  return { generate, format, reading: { tools: tools !== undefined, startsThinking, ...tools } };
}

/** Few conversations are near the end of their context. */
const longText = () => import("./long-text.ts");

const BEYOND = [
  ...(["tools", "tool_choice", "parallel_tool_calls", "response_format"] as const),
  ...(["reasoning_effort", "thinking_budget", "continue_final_message"] as const),
];
const ROLES: readonly unknown[] = ["system", "user", "assistant"];

/** A conversation in texts, as templates take it. */
function isPlain(request: ChatCompletionRequest): boolean {
  const { messages } = request;
  if (!Array.isArray(messages) || messages.length === 0) return false;
  if (BEYOND.some((field) => (request[field] ?? null) !== null)) return false;
  const isText = (message: unknown) => {
    const { role, content, ...more } = Object(message);
    return ROLES.includes(role) && typeof content === "string" && Object.keys(more).length === 0;
  };
  return messages.every(isText);
}

function plainText(
  { text: { template } }: PromptHost,
  { messages, chat_template_kwargs: variables }: ChatCompletionRequest,
  format: ChatFormat,
): string {
  const plain = messages as Parameters<NonNullable<ChatFormat["templateMessages"]>>[0];
  return template.render({ messages: format.templateMessages?.(plain) ?? plain, variables });
}
