/** The format of a loaded model: the one its user names, or the one that its files show. */
import { refuse } from "../request.ts";
import type { TextModel } from "../text-model.ts";
import { CHAT_FORMATS, type ChatFormat, type ChatFormatName } from "./chat-format.ts";
import { detectChatFormat } from "./detect.ts";
import { loadChatFormat } from "./load-chat-format.ts";

export function modelFormat(
  { template, tokenizer }: TextModel,
  named?: ChatFormatName,
): Promise<ChatFormat> {
  const evidence = { template: template.source, addedTokens: tokenizer.addedTokens };
  return loadChatFormat(named ?? detectChatFormat(evidence));
}

/** @throws {WeftError} `bad_request`. */
export function checkChatFormat(name: unknown): void {
  const names: readonly unknown[] = CHAT_FORMATS;
  if (name !== undefined && !names.includes(name)) {
    refuse("chatFormat", name, `one of ${CHAT_FORMATS.join(", ")}, or left out`);
  }
}
