/**
 * Tensor names of Hugging Face checkpoints as GGUF has them, by the architectures that models/ knows. A
 * name outside these tables is left as it is, and then not found.
 * @see https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py
 */

/** Without `.weight` or `.bias`. Two where the file has gates and values apart: gates first. */
type Names = Readonly<Record<string, string | readonly [gates: string, values: string]>>;

const WHOLE: Names = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
};

const OUTPUT: Names = { "self_attn.o_proj": "attn_output" };
const ATTENTION: Names = {
  ...OUTPUT,
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
};
const QK_NORMS: Names = {
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
};
const PRE_NORMS: Names = {
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
};
const POST_NORMS: Names = {
  post_attention_layernorm: "post_attention_norm",
  post_feedforward_layernorm: "post_ffw_norm",
};
const MLP: Names = {
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};
const EXPERTS: Names = {
  "mlp.experts.gate_up_proj": ["ffn_gate_exps", "ffn_up_exps"],
  "mlp.experts.down_proj": "ffn_down_exps",
};
const QWEN_EXPERTS: Names = { "mlp.gate": "ffn_gate_inp", ...EXPERTS };

const DENSE: Names = { ...ATTENTION, ...PRE_NORMS, ...MLP };
const GEMMA: Names = {
  ...{ ...ATTENTION, ...MLP, ...POST_NORMS },
  input_layernorm: "attn_norm",
  pre_feedforward_layernorm: "ffn_norm",
};

const LFM2: Names = {
  operator_norm: "attn_norm",
  ffn_norm: "ffn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.out_proj": "attn_output",
  "self_attn.q_layernorm": "attn_q_norm",
  "self_attn.k_layernorm": "attn_k_norm",
  "feed_forward.w1": "ffn_gate",
  "feed_forward.w3": "ffn_up",
  "feed_forward.w2": "ffn_down",
  "conv.in_proj": "shortconv.in_proj",
  "conv.conv": "shortconv.conv",
  "conv.out_proj": "shortconv.out_proj",
};

/** Within a layer, by `general.architecture`. */
const OF_LAYER: ReadonlyMap<string, Names> = new Map(
  Object.entries<Names>({
    llama: { ...DENSE, "block_sparse_moe.gate": "ffn_gate_inp", ...EXPERTS },
    smollm3: DENSE,
    qwen2: DENSE,
    qwen3: { ...DENSE, ...QK_NORMS },
    granite: DENSE,
    gemma2: GEMMA,
    gemma3: { ...GEMMA, ...QK_NORMS },
    olmo2: { ...ATTENTION, ...QK_NORMS, ...POST_NORMS, ...MLP },
    phi3: {
      ...{ ...OUTPUT, ...PRE_NORMS },
      "self_attn.qkv_proj": "attn_qkv",
      "mlp.gate_up_proj": "ffn_up",
      "mlp.down_proj": "ffn_down",
    },
    qwen3moe: { ...ATTENTION, ...QK_NORMS, ...PRE_NORMS, ...QWEN_EXPERTS },
    olmoe: { ...ATTENTION, ...QK_NORMS, ...PRE_NORMS, ...QWEN_EXPERTS },
    qwen2moe: {
      ...{ ...ATTENTION, ...PRE_NORMS, ...QWEN_EXPERTS },
      "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
      "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
      "mlp.shared_expert.up_proj": "ffn_up_shexp",
      "mlp.shared_expert.down_proj": "ffn_down_shexp",
    },
    granitemoe: {
      ...{ ...ATTENTION, ...PRE_NORMS },
      "block_sparse_moe.router.layer": "ffn_gate_inp",
      "block_sparse_moe.input_linear": ["ffn_gate_exps", "ffn_up_exps"],
      "block_sparse_moe.output_linear": "ffn_down_exps",
      "shared_mlp.input_linear": ["ffn_gate_shexp", "ffn_up_shexp"],
      "shared_mlp.output_linear": "ffn_down_shexp",
    },
    "gpt-oss": {
      ...{ ...ATTENTION, ...EXPERTS },
      input_layernorm: "attn_norm",
      post_attention_layernorm: "post_attention_norm",
      "self_attn.sinks": "attn_sinks",
      "mlp.router": "ffn_gate_inp",
    },
    lfm2: LFM2,
    lfm2moe: {
      ...LFM2,
      "feed_forward.gate": "ffn_gate_inp",
      "feed_forward.expert": "exp_probs_b",
      "feed_forward.experts.gate_up_proj": ["ffn_gate_exps", "ffn_up_exps"],
      "feed_forward.experts.down_proj": "ffn_down_exps",
    },
  }),
);

/** Of the model, where they are not everybody's. */
const OF_MODEL: ReadonlyMap<string, Names> = new Map(
  // A mistake of the first converter, kept since.
  ["lfm2", "lfm2moe"].map((name) => [
    name,
    { ...WHOLE, "model.embedding_norm": "token_embd_norm" },
  ]),
);

/**
 * `model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`. One name, or where the file has
 * gates and values apart two, gates first. A name without a suffix is a weight, `…_bias` a bias.
 */
export function ggufNames(name: string, architecture: string): readonly string[] {
  const [, stem, kind = "weight"] = /^(.+?)(?:[._](weight|bias))?$/.exec(name) ?? [];
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(stem ?? "") ?? [];
  const names = part === undefined ? ofModel(architecture) : (OF_LAYER.get(architecture) ?? {});
  const key = part ?? stem ?? "";
  if (!Object.hasOwn(names, key)) return [name];
  const before = part === undefined ? "" : `blk.${layer}.`;
  return [names[key]].flat().map((own) => `${before}${own}.${kind}`);
}

const ofModel = (architecture: string): Names => OF_MODEL.get(architecture) ?? WHOLE;

/** Frequencies that others compute, or that configuration is made of. */
const BESIDE = ["rope_freqs", "attn_rot_embd"];
const ROPE_FACTORS = ["rope_factors_long", "rope_factors_short"];

/** A tensor of a GGUF file that means nothing to the model, and so may matter. */
export function unknownTensor(names: Iterable<string>, architecture: string): string | undefined {
  const known = knownIn(architecture);
  const stemOf = (name: string) =>
    /^(?:blk\.\d+\.)?([\w.]+)\.(?:weight|bias)$/.exec(name)?.[1] ?? name;
  return [...names].find((name) => !known.has(stemOf(name)));
}

function knownIn(architecture: string): ReadonlySet<string> {
  const names = { ...ofModel(architecture), ...OF_LAYER.get(architecture) };
  const beside = architecture === "phi3" ? [...BESIDE, ...ROPE_FACTORS] : BESIDE;
  return new Set([...Object.values(names).flat(), ...beside]);
}

/** Rows of these are reordered by the converters of some architectures. */
export const isQueryOrKey = (name: string): boolean =>
  /^model\.layers\.\d+\.self_attn\.[qk]_proj\./.test(name);
