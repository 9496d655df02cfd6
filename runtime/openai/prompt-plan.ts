/**
 * What a chat request asks beyond a conversation in texts: tools, forms of the answer, how long to think,
 * contents in parts, an answer to be gone on with. Downloaded with the first request that asks any of it.
 */
import type { ChatFormat } from "../chat-format/chat-format.ts";
import { normaliseMessages } from "../chat-format/messages.ts";
import type { ToolUse } from "../chat-format/tools.ts";
import type { ConstraintSpec } from "../constraint/constraint.ts";
import type { ThinkingOptions } from "../guide/thinking-guide.ts";
import { refuse } from "../request.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";
import { openTurn, withSaid } from "./final-message.ts";
import type { PlannedPrompt, PromptHost } from "./planned-prompt.ts";
import { formatConstraint } from "./response-format.ts";
import { checkThinking, thinkingBudget } from "./thinking-budget.ts";

/** @throws {WeftError} `bad_request`, `chat_template_failed`, `no_chat_template`. */
export async function planPrompt(
  engine: PromptHost,
  request: ChatCompletionRequest,
  format: ChatFormat,
): Promise<PlannedPrompt> {
  checkThinking(request);
  const use = await toolsOf(request);
  checkTemplate(engine, use);
  const text = renderText(engine, request, use, format);
  const constraint = await constraintOf(request, use, format);
  const schemas = new Map(use.callable.map(({ name, parameters }) => [name, parameters]));
  return {
    ...{ text, constraint },
    thinking: (maxTokens) =>
      thinkingOf(engine, request, format, {
        prompt: text,
        isHeld: constraint !== undefined,
        mayCall: constraint?.type === "structural_tag",
        maxTokens,
      }),
    goesOn: request.continue_final_message ? true : undefined,
    tools: use.shown && { schemas },
  };
}

/** Tools that no template shows would be ignored without a word. */
function checkTemplate({ text: { template } }: PromptHost, { shown }: ToolUse): void {
  const { source } = template;
  if (!shown || source === "" || source.includes("tools")) return;
  refuse("tools", shown, "left out with this model, whose chat template has no place for them");
}

const NO_TOOLS: ToolUse = { callable: [], required: false, single: false };

async function toolsOf(request: ChatCompletionRequest): Promise<ToolUse> {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = request;
  if ((tools ?? choice ?? parallel ?? null) === null) return NO_TOOLS;
  const { toolUse } = await import("../chat-format/tools.ts");
  return toolUse(request);
}

/** The prompt that the chat template makes of the messages, and of tools as they are given. @throws {WeftError} */
export function renderChat(engine: PromptHost, request: ChatCompletionRequest): number[] {
  const text = renderText(engine, request, { shown: request.tools ?? undefined });
  return engine.text.tokenizer.encode(text, { addSpecialTokens: false });
}

function renderText(
  { text: { template } }: PromptHost,
  request: ChatCompletionRequest,
  { shown }: Pick<ToolUse, "shown">,
  format?: ChatFormat,
): string {
  const { chat_template_kwargs: given, reasoning_effort: effort } = request;
  const { messages: closed, said } = openTurn(request);
  const normal = normaliseMessages(closed);
  const messages = format?.templateMessages?.(normal) ?? normal;
  const reasoningEffort = effort ?? (request.thinking_budget === 0 ? "none" : undefined);
  const variables = { ...format?.templateVariables({ reasoningEffort }), ...given };
  const prompt = template.render({ messages, tools: shown, variables });
  return said === undefined ? prompt : withSaid(prompt, said, format);
}

/** An answer of a form, a call of a tool, or either of them. */
async function constraintOf(
  request: ChatCompletionRequest,
  use: ToolUse,
  format: ChatFormat,
): Promise<ConstraintSpec | undefined> {
  const answer = formatConstraint(request.response_format);
  if (!use.shown) return answer;
  const { callConstraint } = await import("../chat-format/call-constraint.ts");
  return callConstraint(use, format, answer) ?? answer;
}

interface AnswerStart {
  readonly prompt: string;
  /** To a form. */
  readonly isHeld: boolean;
  /** The form begins where calls do. */
  readonly mayCall: boolean;
  readonly maxTokens: number;
}

/**
 * Undefined where the model thinks as long as it likes, or not at all. One that is held to a form answers
 * at once unless its prompt or its family lets it think, or the request says for how long.
 */
function thinkingOf(
  { text: { tokenizer } }: PromptHost,
  request: ChatCompletionRequest,
  format: ChatFormat,
  { prompt, isHeld, mayCall, maxTokens }: AnswerStart,
): ThinkingOptions | undefined {
  const { thinking } = format;
  // An answer that was begun does not think any more, and the template may have been told to leave it out.
  if (!thinking || request.continue_final_message || prompt.trimEnd().endsWith(thinking.close))
    return undefined;
  const { open, close } = thinking;
  const cut = mayCall ? thinking.cutToCall : thinking.cut;
  const cutTokens = tokenizer.encode(cut, { addSpecialTokens: false }).length;
  const isOpen = format.startsThinking(prompt);
  const asked = thinkingBudget(request, maxTokens, cutTokens);
  // Where more than space stands between thinking and answer, there is no answer without it.
  const leads = cut.slice(cut.indexOf(close) + close.length).trim() !== "";
  if (asked === undefined && !(isHeld && (isOpen || leads))) return undefined;
  const budgetTokens = asked ?? thinkingBudget({ reasoning_effort: "high" }, maxTokens, cutTokens);
  return { open, close, cut, isOpen, budgetTokens };
}
