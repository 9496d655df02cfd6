/**
 * From the metadata of a GGUF file to the config.json that models/ reads. Owns what each key is
 * called there. Refuses architectures and settings that no model file of ours computes, since GGUF
 * says them under keys that models/ never sees.
 */
import type { GgufLayout } from "../weights/gguf-checkpoint.ts";
import type { GgufHeader } from "../weights/gguf-header.ts";
import { GgufMetadata } from "../weights/gguf-metadata.ts";
import { unknownTensor } from "../weights/gguf-names.ts";
import { ARCHITECTURES } from "./gguf-architectures.ts";
import { ggufExperts } from "./gguf-experts.ts";
import { ggufRope, type RopeLists } from "./gguf-rope.ts";
import { unsupported } from "./gguf-unsupported.ts";
import { ggufWindows } from "./gguf-windows.ts";

/** Below the architecture's name: each changes the result, and none is computed. */
const NOT_COMPUTED = [
  "attention.clamp_kqv",
  "attention.scale",
  "attention.sliding_window_pattern",
  "attn_logit_softcapping",
  "embedding_scale",
  "final_logit_softcapping",
  "logit_scale",
  "residual_scale",
];

const EMBEDDING = "token_embd.weight";

/** @throws {WeftError} `unsupported_model`, `bad_gguf` for metadata that is missing or odd. */
export function ggufConfig(header: GgufHeader, ropeLists: RopeLists = {}): Record<string, unknown> {
  const metadata = new GgufMetadata(header);
  const name = architectureName(header);
  checkComputed(header, metadata, name);
  const key = (suffix: string) => `${name}.${suffix}`;
  const numHeads = metadata.requiredCount(key("attention.head_count"));
  const architecture = ARCHITECTURES[name];
  const numLayers = countLayers(header, metadata, key("block_count"));
  const layers = { name, numLayers, windows: architecture.windows };
  const windows = ggufWindows(header, metadata, layers);
  const experts = ggufExperts(header, metadata, name, architecture.experts);
  const size = headSize(metadata, name);
  return {
    model_type: modelType(name, windows, experts),
    hidden_size: metadata.requiredCount(key("embedding_length")),
    intermediate_size: metadata.requiredCount(key("feed_forward_length")),
    num_hidden_layers: numLayers,
    num_attention_heads: numHeads,
    num_key_value_heads: architecture.convolves
      ? undefined
      : (metadata.count(key("attention.head_count_kv")) ?? numHeads),
    head_dim: size,
    max_position_embeddings: metadata.requiredCount(key("context_length")),
    rms_norm_eps: metadata.requiredNumber(key("attention.layer_norm_rms_epsilon")),
    ...numbersOf(metadata, name),
    ...(architecture.scaledByHiddenSize && {
      query_pre_attn_scalar: scoreScalar(metadata, name, architecture.scaledByHiddenSize),
      torch_dtype: header.tensors.get(EMBEDDING)?.type.name === "F32" ? "float32" : "bfloat16",
    }),
    ...(architecture.convolves && convolutionsOf(header, metadata, name)),
    ...ggufRope({ header, metadata, name, architecture, headSize: size, lists: ropeLists }),
    ...windows,
    // llama.cpp's constant: no key says which layers of SmolLM3 have no positions.
    no_rope_layer_interval: 4,
    ...experts,
    vocab_size: vocabSize(header, metadata),
    attention_bias: header.tensors.has("blk.0.attn_q.bias"),
    qkv_bias: header.tensors.has("blk.0.attn_q.bias"),
    mlp_bias: header.tensors.has("blk.0.ffn_gate.bias"),
    tie_word_embeddings: !header.tensors.has("output.weight"),
    bos_token_id: metadata.count("tokenizer.ggml.bos_token_id"),
    eos_token_id: metadata.count("tokenizer.ggml.eos_token_id"),
  };
}

/** @throws {WeftError} `unsupported_model` for another architecture. */
export function ggufLayout(header: GgufHeader): GgufLayout {
  const name = architectureName(header);
  const { interleaves, normsHaveOne } = ARCHITECTURES[name];
  return {
    architecture: name,
    normsHaveOne,
    interleavedHeadSize: interleaves ? headSize(new GgufMetadata(header), name) : undefined,
  };
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

/** GGUF has mistral and mixtral as llama, and granitemoeshared as granitemoe. */
function modelType(
  name: string,
  windows: Readonly<Record<string, unknown>>,
  experts: Readonly<Record<string, unknown>>,
): string {
  if (name === "llama" && experts.num_experts !== undefined) return "mixtral";
  if (name === "llama" && windows.sliding_window !== null) return "mistral";
  if (experts.shared_intermediate_size) return `${name}shared`;
  return ARCHITECTURES[name].modelType ?? name;
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
  const { numbers = {}, windows } = ARCHITECTURES[name];
  const other = NOT_COMPUTED.filter((suffix) => !Object.hasOwn(numbers, suffix))
    .filter((s) => typeof windows !== "object" || s !== "attention.sliding_window_pattern")
    .map((suffix) => `${name}.${suffix}`)
    .find((key) => metadata.has(key));
  if (other) throw unsupported(header, other, `${name} without it`);
  // A model for embeddings that was trained to read in both directions.
  if (metadata.flag(`${name}.attention.causal`) === false) {
    throw unsupported(header, `${name}.attention.causal false`, "models that read forwards");
  }
  const tensor = unknownTensor(header.tensors.keys(), name);
  if (tensor) throw unsupported(header, `a tensor ${tensor}`, `${name} without it`);
}

function numbersOf(metadata: GgufMetadata, name: string): Record<string, number | undefined> {
  const { numbers = {} } = ARCHITECTURES[name];
  const stored = Object.entries(numbers).map(([suffix, key]): [string, number | undefined] => [
    key,
    metadata.number(`${name}.${suffix}`),
  ]);
  const found = Object.fromEntries(stored);
  if (!Object.hasOwn(numbers, "attention.scale")) return found;
  // Without a key of its own a score's multiplier is the usual one, as llama.cpp has it.
  const usual = 1 / Math.sqrt(headSize(metadata, name));
  return { ...found, attention_multiplier: found.attention_multiplier ?? usual };
}

/** Gemma's scores are divided by its root. No key says it: llama.cpp knows it by the number of layers. */
function scoreScalar(metadata: GgufMetadata, name: string, layers: number): number {
  if (metadata.count(`${name}.block_count`) !== layers) return headSize(metadata, name);
  const hidden = metadata.requiredCount(`${name}.embedding_length`);
  return hidden / metadata.requiredCount(`${name}.attention.head_count`);
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
function countLayers({ tensors }: GgufHeader, metadata: GgufMetadata, key: string): number {
  const count = metadata.requiredCount(key);
  if (count <= tensors.size) return count;
  throw metadata.bad(`its ${key} is ${count}, and it has ${tensors.size} tensors`);
}

/** Rows of the embedding: a vocabulary may have fewer tokens. */
function vocabSize({ tensors }: GgufHeader, metadata: GgufMetadata): number {
  const embedding = tensors.get(EMBEDDING);
  if (embedding) return embedding.shape[0];
  throw metadata.bad(`it has no tensor ${EMBEDDING}`);
}
