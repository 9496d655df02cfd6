/**
 * Of a GGUF file's rotary embedding, what config.json says of it. Owns where scalings lie: some are
 * numbers in the metadata, some are tensors that the converter computed.
 */
import type { GgufHeader } from "../weights/gguf-header.ts";
import type { GgufMetadata } from "../weights/gguf-metadata.ts";
import type { Architecture } from "./gguf-architectures.ts";
import { unsupported } from "./gguf-unsupported.ts";

/** By tensor: what divides the frequencies; parameters of a llama3 scaling are not stored. */
export const ROPE_TENSORS = {
  divisors: "rope_freqs.weight",
  long: "rope_factors_long.weight",
  short: "rope_factors_short.weight",
} as const;

export type RopeLists = Readonly<Partial<Record<keyof typeof ROPE_TENSORS, readonly number[]>>>;

/** Below `rope.scaling`: each would change the result, and none is computed. */
const NOT_COMPUTED = ["alpha", "yarn_log_multiplier", "yarn_ext_factor", "yarn_attn_factor"];

interface Rope {
  readonly header: GgufHeader;
  readonly metadata: GgufMetadata;
  /** The architecture's name, before each key. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly headSize: number;
  readonly lists: RopeLists;
}

/** @throws {WeftError} `unsupported_model`, `bad_gguf`. */
export function ggufRope(rope: Rope): Record<string, unknown> {
  const { metadata, name, architecture } = rope;
  const base = metadata.number(`${name}.rope.freq_base`) ?? 10_000;
  const { windowRopeBase = base } = architecture;
  const ofWindows = metadata.number(`${name}.rope.freq_base_swa`) ?? windowRopeBase;
  if (architecture.windowRopeBase === undefined && ofWindows !== base) {
    throw unsupported(rope.header, `${name}.rope.freq_base_swa ${ofWindows}`, `one base (${base})`);
  }
  return {
    rope_theta: base,
    rope_local_base_freq: architecture.windowRopeBase && ofWindows,
    partial_rotary_factor: rotatedShare(rope),
    original_max_position_embeddings: metadata.count(
      `${name}.rope.scaling.original_context_length`,
    ),
    rope_scaling: scaling(rope),
  };
}

/** Undefined where it is all of a head. */
function rotatedShare(rope: Rope): number | undefined {
  const { header, metadata, name, architecture, headSize } = rope;
  const key = `${name}.rope.dimension_count`;
  const rotated = metadata.count(key) ?? headSize;
  if (rotated === headSize) return undefined;
  if (!architecture.rotatesPart || rotated === 0 || rotated > headSize) {
    throw unsupported(header, `${key} ${rotated}`, `whole heads (${headSize})`);
  }
  // Times the head size it is rounded down, and the quotient may be a little less.
  return (rotated + 0.5) / headSize;
}

function scaling(rope: Rope): Record<string, unknown> | null {
  const { header, metadata, name, architecture, lists } = rope;
  const key = (suffix: string) => `${name}.rope.scaling.${suffix}`;
  const other = NOT_COMPUTED.map(key).find((own) => metadata.has(own));
  if (other) throw unsupported(header, other, `${name} without it`);
  if (architecture.switchesRope && metadata.flag(key("finetuned")) === false) {
    throw unsupported(header, `${key("finetuned")} false: no positions`, `${name} with them`);
  }
  // As llama.cpp reads them: without a type, a factor means linear.
  const type = metadata.text(key("type"));
  const factor = metadata.number(key("factor")) ?? metadata.number(`${name}.rope.scale_linear`);
  const hasLongRope = lists.long !== undefined || lists.short !== undefined;
  if (architecture.ropeScaling === "longrope" && (hasLongRope || type === "longrope")) {
    return longRope(rope);
  }
  checkAttentionFactor(rope);
  if (type === "yarn" && architecture.ropeScaling === "yarn") return yarn(rope);
  if (type !== undefined && type !== "none" && type !== "linear") {
    const supported = ["none", "linear", "llama3", architecture.ropeScaling ?? []].flat();
    throw unsupported(
      header,
      `${key("type")} ${JSON.stringify(type)}`,
      `${supported.slice(0, -1).join(", ")} and ${supported.at(-1)}`,
    );
  }
  const isLinear = type !== "none" && factor !== undefined && factor !== 1;
  const { divisors } = lists;
  if (!divisors) return isLinear ? { rope_type: "linear", factor } : null;
  if (!isLinear) return { rope_type: "divisors", divisors };
  throw unsupported(header, `${key("factor")} and ${ROPE_TENSORS.divisors}`, "one of the two");
}

function checkAttentionFactor({ header, metadata, name }: Rope): void {
  const key = `${name}.rope.scaling.attn_factor`;
  const factor = metadata.number(key) ?? 1;
  if (factor !== 1) throw unsupported(header, `${key} ${factor}`, "1");
}

function longRope({ metadata, name, lists }: Rope): Record<string, unknown> {
  metadata.requiredCount(`${name}.rope.scaling.original_context_length`);
  const list = (kind: "long" | "short") => {
    const values = lists[kind];
    if (values) return values;
    throw metadata.bad(`its RoPE scaling is longrope, and it has no tensor ${ROPE_TENSORS[kind]}`);
  };
  return {
    rope_type: "longrope",
    short_factor: list("short"),
    long_factor: list("long"),
    attention_factor: metadata.number(`${name}.rope.scaling.attn_factor`),
  };
}

/** gpt-oss blends between pairs, not from whole pair to whole pair; no key says so. */
function yarn({ metadata, name }: Rope): Record<string, unknown> {
  const key = (suffix: string) => `${name}.rope.scaling.${suffix}`;
  return {
    rope_type: "yarn",
    factor: metadata.requiredNumber(key("factor")),
    original_max_position_embeddings: metadata.requiredCount(key("original_context_length")),
    beta_fast: metadata.number(key("yarn_beta_fast")),
    beta_slow: metadata.number(key("yarn_beta_slow")),
    truncate: false,
  };
}
