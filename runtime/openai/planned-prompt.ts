/** What becomes of a conversation: a prompt, and what is asked of its answer. */
import type { ParserOptions } from "../chat-format/chat-format.ts";
import type { ConstraintSpec } from "../constraint/constraint.ts";
import type { ThinkingOptions } from "../guide/thinking-guide.ts";
import type { TextModel } from "../text-model.ts";

/** What making a prompt needs of an engine. */
export interface PromptHost {
  readonly text: TextModel;
}

export interface PlannedPrompt {
  readonly text: string;
  readonly constraint?: ConstraintSpec;
  /** @param maxTokens Of thinking and answer together. */
  readonly thinking?: (maxTokens: number) => ThinkingOptions | undefined;
  readonly goesOn?: true;
  /** Calls are looked for; schemas of arguments by the tool's name. */
  readonly tools?: Pick<ParserOptions, "schemas">;
}
