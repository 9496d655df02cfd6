/**
 * Which format a model has, from what its chat template writes into a conversation and, where the
 * template says nothing, from its added tokens. A model's name is not looked at.
 */
import { WeftError } from "../errors.ts";
import { CHAT_FORMATS, type ChatFormatName } from "./chat-format.ts";

export interface FormatEvidence {
  /** Source of the chat template, of all templates where there are several; "" without one. */
  readonly template: string;
  /** Texts of the tokens that stand beside the vocabulary. */
  readonly addedTokens: Iterable<string>;
}

/** @param name As callers give it: JavaScript may give anything. @throws {WeftError} `bad_request`. */
export function checkChatFormat(name: string | undefined): void {
  const names: readonly string[] = CHAT_FORMATS;
  if (name === undefined || names.includes(name)) return;
  throw new WeftError(
    "bad_request",
    `chatFormat is ${JSON.stringify(name)}, it must be one of ${names.join(", ")}; leave it out to go ` +
      "by the model's files",
  );
}

export function detectChatFormat({ template, addedTokens }: FormatEvidence): ChatFormatName {
  const writes = (...texts: readonly string[]) => texts.every((text) => template.includes(text));
  if (writes("<|channel|>", "<|message|>")) return "gpt-oss";
  const tokens = new Set(addedTokens);
  if (writes("[TOOL_CALLS]")) {
    if (writes("[THINK]") || tokens.has("[THINK]")) return "magistral";
    return writes("[ARGS]") ? "mistral-v11" : "mistral";
  }
  if (writes("<tool_call>", "<function=")) return "qwen3-coder";
  const thinks = writes("</think>");
  if (writes("<tool_call>")) return thinks ? "qwen3" : "hermes";
  // Llama's own words to a model that has tools; the tag alone is in other vocabularies too.
  if (writes("<|start_header_id|>", '"parameters"')) return "llama3";
  return thinks || (tokens.has("<think>") && tokens.has("</think>")) ? "think" : "plain";
}
