/** From a chat request to what the engine is asked, and how its answers are read. */
import type { ChatFormat } from "../chat-format/chat-format.ts";
import { WeftError } from "../errors.ts";
import type { ThinkingOptions } from "../guide/thinking-guide.ts";
import { type GenerateRequest, refuse } from "../request.ts";
import type { TextModel } from "../text-model.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";
import { generateRequest } from "./shared-request.ts";
import { checkThinking, thinkingBudget } from "./thinking-budget.ts";

/** What making a prompt needs of an engine. */
export interface PromptHost {
  readonly text: TextModel;
}

interface PlanHost extends PromptHost {
  readonly plan: { readonly spec: { readonly vocabSize: number }; readonly maxContext: number };
}

export interface ChatPlan {
  readonly generate: GenerateRequest;
  readonly format: ChatFormat;
  /** The prompt ends inside an open thinking block. */
  readonly startsThinking: boolean;
  readonly hasTools: boolean;
}

/** @throws {WeftError} `bad_request`, `chat_template_failed`, `no_chat_template`. */
export async function planChat(
  engine: PlanHost,
  request: ChatCompletionRequest,
): Promise<ChatPlan> {
  const { top_logprobs: topLogprobs, max_completion_tokens: maxCompletionTokens } = request;
  refuseUnsupported(request);
  checkThinking(request);
  if (topLogprobs && !request.logprobs) {
    refuse("top_logprobs", topLogprobs, "left out unless logprobs is true");
  }
  const format = await engine.text.chatFormat();
  const text = renderText(engine, request, format);
  const prompt = engine.text.tokenizer.encode(text, { addSpecialTokens: false });
  const startsThinking = format.startsThinking(text);
  const { maxContext, spec } = engine.plan;
  const maxTokens = maxCompletionTokens ?? request.max_tokens ?? undefined;
  const most = maxTokens ?? Math.max(1, maxContext - prompt.length);
  const thinking = thinkingOf(engine, request, format, text, most);
  const own = {
    ...{ prompt, maxTokens, thinking },
    topLogprobs: request.logprobs ? (topLogprobs ?? 0) : undefined,
    skipSpecialTokens: !format.readsSpecialTokens,
  };
  const generate = generateRequest(request, own, spec.vocabSize, {
    ...(maxCompletionTokens != null && { maxTokens: "max_completion_tokens" }),
  });
  const hasTools = (request.tools?.length ?? 0) > 0 && request.tool_choice !== "none";
  return { generate, format, startsThinking, hasTools };
}

/** The prompt that the chat template makes of the messages. @throws {WeftError} */
export function renderChat(engine: PromptHost, request: ChatCompletionRequest): number[] {
  const text = renderText(engine, request);
  return engine.text.tokenizer.encode(text, { addSpecialTokens: false });
}

function renderText(
  { text: { template } }: PromptHost,
  request: ChatCompletionRequest,
  format?: ChatFormat,
): string {
  const { messages, chat_template_kwargs: given, reasoning_effort: effort } = request;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new WeftError(
      "bad_request",
      `messages is ${JSON.stringify(messages) ?? "missing"}, it must be a list with at least one ` +
        "message; add { role: 'user', content: '…' }",
      { param: "messages" },
    );
  }
  const reasoningEffort = effort ?? (request.thinking_budget === 0 ? "none" : undefined);
  const variables = { ...format?.templateVariables({ reasoningEffort }), ...given };
  return template.render({ messages, tools: request.tools ?? undefined, variables });
}

/** Undefined where the model thinks as long as it likes, or not at all. */
function thinkingOf(
  { text: { tokenizer } }: PromptHost,
  request: ChatCompletionRequest,
  format: ChatFormat,
  prompt: string,
  maxTokens: number,
): ThinkingOptions | undefined {
  const { thinking } = format;
  // The template may have been told to leave it out.
  if (!thinking || prompt.trimEnd().endsWith(thinking.close)) return undefined;
  const cutTokens = tokenizer.encode(thinking.cut, { addSpecialTokens: false }).length;
  const budgetTokens = thinkingBudget(request, maxTokens, cutTokens);
  if (budgetTokens === undefined) return undefined;
  return { ...thinking, isOpen: format.startsThinking(prompt), budgetTokens };
}

/** Fields of OpenAI's that would change the answer. Others that we do not know change nothing. */
function refuseUnsupported({ response_format: format }: ChatCompletionRequest): void {
  if ((format?.type ?? "text") !== "text") refuse("response_format", format, '{ type: "text" }');
}
