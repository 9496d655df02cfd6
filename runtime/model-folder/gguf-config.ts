/**
 * From the metadata of a GGUF file to the config.json that models/ reads. Owns what each key is
 * called there. Refuses architectures and settings that no model file of ours computes, since GGUF
 * says them under keys that models/ never sees.
 */
import { WeftError } from "../errors.ts";
import type { GgufHeader } from "../weights/gguf-header.ts";
import { GgufMetadata } from "../weights/gguf-metadata.ts";
import { isKnownTensor } from "../weights/gguf-names.ts";

interface Architecture {
  /** The converter interleaves the halves of each query and key head, as ggml rotates them. */
  readonly interleaves: boolean;
  /** Layers without keys and values convolve. */
  readonly convolves?: boolean;
  /** Keys below its name that other architectures do not have: config.json's name of each. */
  readonly multipliers?: Readonly<Record<string, string>>;
}

/**
 * By `general.architecture`. Mistral is stored as llama, and SmolLM3's converter is llama's, which
 * reorders the rows of NoPE layers too.
 * @see https://github.com/ggml-org/llama.cpp/tree/master/conversion (undo_permute)
 */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { interleaves: true },
  smollm3: { interleaves: true },
  qwen2: { interleaves: false },
  qwen3: { interleaves: false },
  lfm2: { interleaves: false, convolves: true },
  granite: {
    interleaves: true,
    multipliers: {
      "attention.scale": "attention_multiplier",
      embedding_scale: "embedding_multiplier",
      residual_scale: "residual_multiplier",
      logit_scale: "logits_scaling",
    },
  },
};

/** Below the architecture's name: each changes the result, and none is computed. */
const NOT_COMPUTED = [
  "attention.clamp_kqv",
  "attention.scale",
  "attn_logit_softcapping",
  "embedding_scale",
  "final_logit_softcapping",
  "logit_scale",
  "residual_scale",
];

/** Frequencies of a llama3 scaling, computed by the converter: GGUF does not have its parameters. */
export const ROPE_DIVISORS = "rope_freqs.weight";

/** @throws {WeftError} `unsupported_model`, `bad_gguf` for metadata that is missing or odd. */
export function ggufConfig(
  header: GgufHeader,
  ropeDivisors?: readonly number[],
): Record<string, unknown> {
  const metadata = new GgufMetadata(header);
  const name = architectureName(header);
  checkComputed(header, metadata, name);
  const key = (suffix: string) => `${name}.${suffix}`;
  const numHeads = metadata.requiredCount(key("attention.head_count"));
  const slidingWindow = metadata.count(key("attention.sliding_window")) || null;
  return {
    model_type: name === "llama" && slidingWindow !== null ? "mistral" : name,
    hidden_size: metadata.requiredCount(key("embedding_length")),
    intermediate_size: metadata.requiredCount(key("feed_forward_length")),
    num_hidden_layers: numLayers(header, metadata, key("block_count")),
    num_attention_heads: numHeads,
    num_key_value_heads: ARCHITECTURES[name].convolves
      ? undefined
      : (metadata.count(key("attention.head_count_kv")) ?? numHeads),
    head_dim: headSize(metadata, name),
    max_position_embeddings: metadata.requiredCount(key("context_length")),
    rms_norm_eps: metadata.requiredNumber(key("attention.layer_norm_rms_epsilon")),
    ...multipliersOf(metadata, name),
    ...(ARCHITECTURES[name].convolves && convolutionsOf(header, metadata, name)),
    rope_theta: metadata.number(key("rope.freq_base")) ?? 10_000,
    rope_scaling: ropeScaling(header, metadata, name, ropeDivisors),
    sliding_window: slidingWindow,
    use_sliding_window: slidingWindow !== null,
    // GGUF has one window for all layers; Hugging Face's default would keep it from the lower ones.
    max_window_layers: 0,
    // llama.cpp's constant: no key says which layers of SmolLM3 have no positions.
    no_rope_layer_interval: 4,
    vocab_size: vocabSize(header, metadata),
    attention_bias: header.tensors.has("blk.0.attn_q.bias"),
    mlp_bias: header.tensors.has("blk.0.ffn_gate.bias"),
    tie_word_embeddings: !header.tensors.has("output.weight"),
    bos_token_id: metadata.count("tokenizer.ggml.bos_token_id"),
    eos_token_id: metadata.count("tokenizer.ggml.eos_token_id"),
  };
}

/** Of heads whose rows the converter has interleaved; undefined where it has not. */
export function interleavedHeadSize(header: GgufHeader): number | undefined {
  const name = architectureName(header);
  return ARCHITECTURES[name].interleaves ? headSize(new GgufMetadata(header), name) : undefined;
}

function architectureName(header: GgufHeader): string {
  const name = new GgufMetadata(header).requiredText("general.architecture");
  if (Object.hasOwn(ARCHITECTURES, name)) return name;
  throw unsupported(
    header,
    `general.architecture ${JSON.stringify(name)}`,
    Object.keys(ARCHITECTURES).join(", "),
  );
}

function checkComputed(header: GgufHeader, metadata: GgufMetadata, name: string): void {
  const type = metadata.text("general.type") ?? "model";
  if (type !== "model") throw unsupported(header, `general.type ${JSON.stringify(type)}`, "model");
  const numFiles = metadata.count("split.count") ?? 1;
  if (numFiles > 1) {
    throw unsupported(
      header,
      `split.count ${numFiles}: it is one of several files`,
      "models in one file",
      "merge them with `llama-gguf-split --merge`",
    );
  }
  const experts = metadata.count(`${name}.expert_count`) ?? 0;
  if (experts > 0) throw unsupported(header, `${name}.expert_count ${experts}`, "dense models");
  const { multipliers = {} } = ARCHITECTURES[name];
  const other = NOT_COMPUTED.filter((suffix) => !Object.hasOwn(multipliers, suffix))
    .map((suffix) => `${name}.${suffix}`)
    .find((key) => metadata.has(key));
  if (other) throw unsupported(header, other, `${name} without it`);
  const tensor = [...header.tensors.keys()].find((key) => !isKnownTensor(key, name));
  if (tensor) throw unsupported(header, `a tensor ${tensor}`, `${name} without it`);
}

/** Without a key of its own a score's multiplier is the usual one, as llama.cpp has it. */
function multipliersOf(metadata: GgufMetadata, name: string): Record<string, number | undefined> {
  const { multipliers } = ARCHITECTURES[name];
  if (!multipliers) return {};
  const stored = Object.entries(multipliers).map(([suffix, key]): [string, number | undefined] => [
    key,
    metadata.number(`${name}.${suffix}`),
  ]);
  const { attention_multiplier, ...others } = Object.fromEntries(stored);
  const usual = 1 / Math.sqrt(headSize(metadata, name));
  return { ...others, attention_multiplier: attention_multiplier ?? usual };
}

/** Which layers attend is said by their numbers of KV heads, 0 where they convolve. */
function convolutionsOf(
  { tensors }: GgufHeader,
  metadata: GgufMetadata,
  name: string,
): Record<string, unknown> {
  const key = `${name}.attention.head_count_kv`;
  const heads = [...(metadata.numbers(key, "i32") ?? [])];
  const most = heads.reduce((a, b) => Math.max(a, b), 0);
  const numLayers = metadata.requiredCount(`${name}.block_count`);
  if (heads.length !== numLayers || heads.some((count) => count !== 0 && count !== most)) {
    throw metadata.bad(
      `its ${key} is not a list of ${numLayers} that are 0 or the same number: ${heads.slice(0, 99)}`,
    );
  }
  return {
    // Where no layer attends, any number.
    num_key_value_heads: most || 1,
    full_attn_idxs: [...heads.keys()].filter((layer) => heads[layer] > 0),
    conv_L_cache: metadata.requiredCount(`${name}.shortconv.l_cache`),
    conv_bias: [...tensors.keys()].some((tensor) => /\.shortconv\.\w+\.bias$/.test(tensor)),
    norm_eps: metadata.requiredNumber(`${name}.attention.layer_norm_rms_epsilon`),
    block_auto_adjust_ff_dim: false,
  };
}

function headSize(metadata: GgufMetadata, name: string): number {
  const hidden = metadata.requiredCount(`${name}.embedding_length`);
  const heads = metadata.requiredCount(`${name}.attention.head_count`);
  const size = metadata.count(`${name}.attention.key_length`) ?? hidden / heads;
  const valueSize = metadata.count(`${name}.attention.value_length`) ?? size;
  if (!Number.isInteger(size) || size < 2 || size % 2 !== 0) {
    throw metadata.bad(`its heads are of size ${size}, which is no even number`);
  }
  if (valueSize !== size) {
    throw metadata.bad(`its value heads are of size ${valueSize}, its key heads of ${size}`);
  }
  return size;
}

/** Checked before lists of that length are made. */
function numLayers({ tensors }: GgufHeader, metadata: GgufMetadata, key: string): number {
  const count = metadata.requiredCount(key);
  if (count <= tensors.size) return count;
  throw metadata.bad(`its ${key} is ${count}, and it has ${tensors.size} tensors`);
}

/** Rows of the embedding: a vocabulary may have fewer tokens. */
function vocabSize({ tensors }: GgufHeader, metadata: GgufMetadata): number {
  const embedding = tensors.get("token_embd.weight");
  if (embedding) return embedding.shape[0];
  throw metadata.bad("it has no tensor token_embd.weight");
}

function ropeScaling(
  header: GgufHeader,
  metadata: GgufMetadata,
  name: string,
  divisors: readonly number[] | undefined,
): Record<string, unknown> | null {
  const rotated = metadata.count(`${name}.rope.dimension_count`);
  const size = headSize(metadata, name);
  if (rotated !== undefined && rotated !== size) {
    throw unsupported(header, `${name}.rope.dimension_count ${rotated}`, `whole heads (${size})`);
  }
  // As llama.cpp reads them: without a type, a factor means linear.
  const type = metadata.text(`${name}.rope.scaling.type`) ?? "linear";
  if (type !== "none" && type !== "linear") {
    const what = `${name}.rope.scaling.type ${JSON.stringify(type)}`;
    throw unsupported(header, what, "none, linear and llama3");
  }
  const factor =
    metadata.number(`${name}.rope.scaling.factor`) ??
    metadata.number(`${name}.rope.scale_linear`) ??
    1;
  const isLinear = type === "linear" && factor !== 1;
  if (!divisors) return isLinear ? { rope_type: type, factor } : null;
  if (!isLinear) return { rope_type: "divisors", divisors };
  throw unsupported(header, `${name}.rope.scaling.factor and ${ROPE_DIVISORS}`, "one of the two");
}

function unsupported(
  { name }: GgufHeader,
  what: string,
  supported: string,
  cure = "choose another model of these families",
): WeftError {
  return new WeftError(
    "unsupported_model",
    `${name} has ${what}, Weft computes ${supported}; ${cure}`,
  );
}
