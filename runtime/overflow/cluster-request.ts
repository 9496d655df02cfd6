/**
 * A request of ours as the cluster takes it. What schedules it here means nothing there; what would change
 * the answer and is unknown there keeps the request here.
 */
import type { ChatCompletionRequest } from "../openai/chat-request.ts";
import type { SharedRequest } from "../openai/shared-request.ts";
import type { ClusterKind, ClusterModels } from "./cluster.ts";

/** Of this engine alone, and without a trace in the answer. */
const SCHEDULING = ["priority", "deadline_ms", "client", "program", "cache_salt"] as const;
/** Layer policies that never change a token. */
const LOSSLESS = ["self-speculation", "prompt-lookup"];

type Asked = SharedRequest & Pick<Partial<ChatCompletionRequest>, "response_format">;

/** What no other server knows of it, or nothing. */
export function ownDemand(request: Asked, kind: ClusterKind): string | undefined {
  if (kind === "weft") return undefined;
  const { adapter, layer_policy: policy, response_format: format } = request;
  if (adapter !== undefined) return "adapter";
  const name = (policy as { readonly name?: string } | undefined)?.name;
  if (policy !== undefined && !LOSSLESS.includes(name ?? "")) return "layer_policy";
  const type = format?.type;
  const isOwn = type === "regex" || type === "choice" || type === "grammar";
  return isOwn && !constraintFields(format, kind) ? "response_format" : undefined;
}

/** @param model What the cluster calls it. */
export function clusterRequest(
  request: Asked,
  { kind }: Pick<ClusterModels, "kind">,
  model: string | undefined,
): Record<string, unknown> {
  const { session: _, ...given } = request;
  const body: Record<string, unknown> = { ...given, ...(model !== undefined && { model }) };
  body.stream = true;
  // Counts with each chunk let an answer that breaks off go on with the tokens that are left.
  const counts = kind === "vllm" && { continuous_usage_stats: true };
  body.stream_options = { include_usage: true, ...counts };
  if (kind === "weft") return body;
  for (const field of [...SCHEDULING, "adapter", "layer_policy"]) delete body[field];
  const constraint = constraintFields(request.response_format, kind);
  if (constraint) delete body.response_format;
  return { ...body, ...constraint };
}

/** What OpenAI has no word for, in the server's own. */
function constraintFields(
  format: Asked["response_format"],
  kind: ClusterKind,
): Record<string, unknown> | undefined {
  if (format?.type !== "regex" && format?.type !== "choice" && format?.type !== "grammar") {
    return undefined;
  }
  const { type } = format;
  if (kind === "vllm") {
    const { [type]: value } = {
      regex: type === "regex" && format.pattern,
      choice: type === "choice" && format.choices,
      grammar: type === "grammar" && format.grammar,
    };
    return { structured_outputs: { [type]: value } };
  }
  if (kind === "sglang" && type === "regex") return { regex: format.pattern };
  if (kind === "sglang" && type === "grammar") return { ebnf: format.grammar };
  if (kind === "sglang" && type === "choice") {
    return { regex: `(${format.choices.map(escaped).join("|")})` };
  }
  return undefined;
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/**
 * What the cluster calls the model that the request names, if it names one.
 * @returns Nothing where the cluster has none of that name.
 */
export function clusterModel(
  named: string | undefined,
  configured: string | undefined,
  { ids }: ClusterModels,
  isLocal: boolean,
): string | undefined {
  if (named !== undefined && ids.includes(named)) return named;
  // A model that is not here is what its name says, and no other.
  if (named !== undefined && !isLocal) return undefined;
  return configured ?? ids.at(0);
}
