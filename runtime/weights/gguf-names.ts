/**
 * Tensor names of Hugging Face checkpoints as GGUF has them, for the architectures that
 * models/ knows. A name outside this table is left as it is, and then not found.
 * @see https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py
 */

const WHOLE: ReadonlyMap<string, string> = new Map([
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["lm_head", "output"],
]);
const WHOLE_OF_LFM2: ReadonlyMap<string, string> = new Map([
  // A mistake of the first converter, kept since.
  ["model.embedding_norm", "token_embd_norm"],
]);

const OF_LAYER: ReadonlyMap<string, string> = new Map([
  ["input_layernorm", "attn_norm"],
  ["self_attn.q_proj", "attn_q"],
  ["self_attn.k_proj", "attn_k"],
  ["self_attn.v_proj", "attn_v"],
  ["self_attn.o_proj", "attn_output"],
  ["self_attn.q_norm", "attn_q_norm"],
  ["self_attn.k_norm", "attn_k_norm"],
  ["post_attention_layernorm", "ffn_norm"],
  ["mlp.gate_proj", "ffn_gate"],
  ["mlp.up_proj", "ffn_up"],
  ["mlp.down_proj", "ffn_down"],
]);

/** By llama's names in GGUF, by its own on Hugging Face; and what no other architecture has. */
const OF_LFM2_LAYER: ReadonlyMap<string, string> = new Map([
  ["operator_norm", "attn_norm"],
  ["self_attn.out_proj", "attn_output"],
  ["self_attn.q_layernorm", "attn_q_norm"],
  ["self_attn.k_layernorm", "attn_k_norm"],
  ["ffn_norm", "ffn_norm"],
  ["feed_forward.w1", "ffn_gate"],
  ["feed_forward.w3", "ffn_up"],
  ["feed_forward.w2", "ffn_down"],
  ["conv.in_proj", "shortconv.in_proj"],
  ["conv.conv", "shortconv.conv"],
  ["conv.out_proj", "shortconv.out_proj"],
]);

/** `model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`. */
export function ggufName(name: string): string {
  const [, stem, kind] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(stem ?? "") ?? [];
  const whole = WHOLE.get(stem) ?? WHOLE_OF_LFM2.get(stem);
  if (whole) return `${whole}.${kind}`;
  const ofLayer = OF_LAYER.get(part) ?? OF_LFM2_LAYER.get(part);
  return ofLayer ? `blk.${layer}.${ofLayer}.${kind}` : name;
}

const KNOWN = new Set([...WHOLE.values(), ...OF_LAYER.values()]);
const KNOWN_IN_LFM2 = new Set([...WHOLE_OF_LFM2.values(), ...OF_LFM2_LAYER.values()]);
/** Frequencies that others compute, or that configuration is made of. */
const BESIDE = new Set(["rope_freqs", "attn_rot_embd"]);

/** Whether a tensor of a GGUF file means something to the model; one that does not may matter. */
export function isKnownTensor(name: string, architecture: string): boolean {
  const stem = /^(?:blk\.\d+\.)?([\w.]+)\.(?:weight|bias)$/.exec(name)?.[1] ?? name;
  if (architecture === "lfm2" && KNOWN_IN_LFM2.has(stem)) return true;
  return KNOWN.has(stem) || BESIDE.has(stem);
}

/** Rows of these are reordered by the converters of some architectures. */
export const isQueryOrKey = (name: string): boolean =>
  /^model\.layers\.\d+\.self_attn\.[qk]_proj\./.test(name);
