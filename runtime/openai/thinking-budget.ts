/** How long a model may think before it answers, by what a request says of it. */
import { refuse } from "../request.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";

/** Of all that may be said. */
const EFFORT_SHARE = {
  none: 0,
  minimal: 1 / 16,
  low: 1 / 4,
  medium: 1 / 2,
  high: 3 / 4,
  xhigh: 3 / 4,
  max: 3 / 4,
};
/** What is left to the answer in any case. */
const ANSWER_SHARE = 1 / 4;

type Asked = Pick<ChatCompletionRequest, "reasoning_effort" | "thinking_budget">;

/**
 * @param maxTokens Of thinking and answer together.
 * @param cutTokens What cutting it off takes.
 * @returns In tokens; undefined where the request leaves it to the model.
 */
export function thinkingBudget(
  { reasoning_effort: effort, thinking_budget: asked }: Asked,
  maxTokens: number,
  cutTokens: number,
): number | undefined {
  if (effort == null && asked == null) return undefined;
  const most = maxTokens - Math.ceil(ANSWER_SHARE * maxTokens) - cutTokens;
  const byEffort = effort == null ? most : Math.floor(EFFORT_SHARE[effort] * maxTokens);
  return Math.max(0, Math.min(most, byEffort, asked ?? most));
}

/** @throws {WeftError} `bad_request`. */
export function checkThinking({ reasoning_effort: effort, thinking_budget: budget }: Asked): void {
  if (effort != null && !Object.hasOwn(EFFORT_SHARE, effort)) {
    refuse("reasoning_effort", effort, `one of ${Object.keys(EFFORT_SHARE).join(", ")}`);
  }
  if (budget != null && !(Number.isSafeInteger(budget) && budget >= 0)) {
    refuse("thinking_budget", budget, "a whole number of tokens from 0 on");
  }
}
