/**
 * `providerOptions.weft`: fields of our requests by their own names, `priority`, `deadline_ms`, `layer_policy`, … Owns
 * which there are; what they may hold is checked where requests are.
 */
import type { JSONValue, SharedV3ProviderOptions, SharedV3Warning } from "@ai-sdk/provider";
import type { ChatCompletionRequest, EmbeddingRequest } from "../../worker.ts";
import { PROVIDER } from "./engine-model.ts";

/** What the AI SDK's own settings say: it is not said again. */
const SETTINGS = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "n",
  "tools",
  "tool_choice",
  "input",
] as const;
/** Every other field, in no order: the compiler misses none. */
type Fields<Request> = Readonly<Record<Exclude<keyof Request, (typeof SETTINGS)[number]>, true>>;

const EITHER = {
  max_prompt_tokens: true,
  priority: true,
  deadline_ms: true,
  client: true,
  program: true,
  cache_salt: true,
  adapter: true,
} as const;

export const CHAT_FIELDS: Fields<ChatCompletionRequest> = {
  ...EITHER,
  session: true,
  max_tokens: true,
  max_completion_tokens: true,
  temperature: true,
  top_p: true,
  top_k: true,
  min_p: true,
  seed: true,
  stop: true,
  repetition_penalty: true,
  presence_penalty: true,
  frequency_penalty: true,
  logit_bias: true,
  logprobs: true,
  top_logprobs: true,
  layer_policy: true,
  parallel_tool_calls: true,
  response_format: true,
  reasoning_effort: true,
  thinking_budget: true,
  continue_final_message: true,
  chat_template_kwargs: true,
};

export const EMBEDDING_FIELDS: Fields<EmbeddingRequest> = {
  ...EITHER,
  encoding_format: true,
  dimensions: true,
  pooling: true,
  normalize: true,
};

/** Those of `known`, and what is unknown too, with a warning: a cluster that requests overflow to may know it. */
export function ownOptions(
  options: SharedV3ProviderOptions | undefined,
  known: Readonly<Record<string, true>>,
  warnings: SharedV3Warning[],
): Record<string, JSONValue | undefined> {
  const own: Record<string, JSONValue | undefined> = {};
  for (const [name, value] of Object.entries(options?.[PROVIDER] ?? {})) {
    const isSetting = SETTINGS.some((setting) => setting === name);
    if (!isSetting) own[name] = value;
    if (Object.hasOwn(known, name)) continue;
    warnings.push({
      type: "unsupported",
      feature: `providerOptions.${PROVIDER}.${name}`,
      details: isSetting
        ? "the AI SDK has a setting of its own for it"
        : `Weft's requests have no such field; there are ${Object.keys(known).join(", ")}`,
    });
  }
  return own;
}
