/** What a chat completion asks, in OpenAI's words. Plain data. */
import type { ReasoningEffort } from "../chat-format/chat-format.ts";
import type { SharedRequest } from "./shared-request.ts";

export interface ChatMessage {
  readonly role: string;
  /** Text, or its parts. */
  readonly content?: string | null | readonly object[];
  readonly name?: string;
  /** Of an assistant's earlier turn. */
  readonly tool_calls?: readonly object[];
  readonly reasoning_content?: string | null;
  readonly refusal?: string | null;
  /** Which call a tool's message answers. */
  readonly tool_call_id?: string;
}

export interface ChatTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** JSON Schema of its arguments, an object. */
    readonly parameters?: Readonly<Record<string, unknown>>;
    /** Arguments always fit the schema. */
    readonly strict?: boolean | null;
  };
}

export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | { readonly type: "function"; readonly function: { readonly name: string } };

/** What the answer is in form. The last three are not OpenAI's. */
export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema";
      readonly json_schema: {
        readonly name?: string;
        readonly description?: string;
        readonly schema?: Readonly<Record<string, unknown>>;
        readonly strict?: boolean | null;
      };
    }
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "choice"; readonly choices: readonly string[] }
  /** EBNF, as llama.cpp and XGrammar write it. */
  | { readonly type: "grammar"; readonly grammar: string };

export interface ChatCompletionRequest extends SharedRequest {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly object[] | null;
  readonly tool_choice?: ToolChoice | null;
  /** False: at most one call. */
  readonly parallel_tool_calls?: boolean | null;
  readonly response_format?: ResponseFormat | null;
  /** Thinking included. `max_tokens` is its older name. */
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  readonly top_logprobs?: number | null;
  /** How long a model that thinks may think: none, or a share of what it may say. */
  readonly reasoning_effort?: ReasoningEffort | null;
  /** Most tokens of thinking. The answer keeps its share of `max_completion_tokens` in any case. */
  readonly thinking_budget?: number | null;
  /** The last message is the assistant's, and the answer goes on where it ends. Not OpenAI's, but vLLM's. */
  readonly continue_final_message?: boolean | null;
  /** More variables for the chat template, e.g. `{ enable_thinking: false }`. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}
