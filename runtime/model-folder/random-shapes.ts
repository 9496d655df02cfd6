/** config.json of published models by name, for `random:NAME`, and of one that runs anywhere in seconds. */

type Config = Readonly<Record<string, unknown>>;

const qwen3 = (
  layers: number,
  hidden: number,
  heads: number,
  ffn: number,
  tied = true,
): Config => ({
  model_type: "qwen3",
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: heads,
  num_key_value_heads: 8,
  head_dim: 128,
  intermediate_size: ffn,
  vocab_size: 151_936,
  max_position_embeddings: 40_960,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  tie_word_embeddings: tied,
});

const llama32 = (layers: number, hidden: number, heads: number): Config => ({
  model_type: "llama",
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: heads,
  num_key_value_heads: 8,
  head_dim: hidden === 2048 ? 64 : 128,
  intermediate_size: 8192,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-5,
  rope_theta: 5e5,
  tie_word_embeddings: true,
});

const lfm2 = (layers: number, attending: readonly number[]): Config => ({
  model_type: "lfm2",
  num_hidden_layers: layers,
  full_attn_idxs: attending,
  ...{ conv_L_cache: 3, conv_bias: false },
  hidden_size: 2048,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  block_ff_dim: 12_288,
  vocab_size: 65_536,
  max_position_embeddings: 128_000,
});

// biome-ignore lint/suspicious/noApproximativeNumericConstant: what config.json says, not a root.
const MSCALE = 0.707;

export const randomShapes: Readonly<Record<string, Config>> = {
  // As deep as Qwen3-0.6B: what the host does per step is the same.
  tiny: {
    ...qwen3(28, 64, 4, 128),
    num_key_value_heads: 2,
    head_dim: 32,
    vocab_size: 256,
    max_position_embeddings: 4096,
  },
  "qwen3-0.6b": qwen3(28, 1024, 16, 3072),
  "qwen3-1.7b": qwen3(28, 2048, 16, 6144),
  "qwen3-4b": qwen3(36, 2560, 32, 9728),
  "qwen3-8b": qwen3(36, 4096, 32, 12_288, false),
  "qwen3-30b-a3b": {
    ...qwen3(48, 2048, 32, 6144, false),
    model_type: "qwen3_moe",
    num_key_value_heads: 4,
    ...{ num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768 },
    norm_topk_prob: true,
  },
  "gpt-oss-20b": {
    model_type: "gpt_oss",
    num_hidden_layers: 24,
    hidden_size: 2880,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    ...{ num_local_experts: 32, num_experts_per_tok: 4, intermediate_size: 2880 },
    sliding_window: 128,
    vocab_size: 201_088,
    max_position_embeddings: 131_072,
    quantization_config: { quant_method: "mxfp4" },
  },
  "lfm2-1.2b": lfm2(16, [2, 5, 8, 10, 12, 14]),
  "lfm2-8b-a1b": {
    ...lfm2(24, [2, 6, 10, 14, 18, 21]),
    model_type: "lfm2_moe",
    ...{ intermediate_size: 7168, num_dense_layers: 2 },
    ...{ num_experts: 32, num_experts_per_tok: 4, moe_intermediate_size: 1792 },
  },
  // The first layer is dense.
  "deepseek-v2-lite": {
    model_type: "deepseek_v2",
    num_hidden_layers: 27,
    hidden_size: 2048,
    intermediate_size: 10_944,
    num_attention_heads: 16,
    ...{ q_lora_rank: null, kv_lora_rank: 512, qk_nope_head_dim: 128, qk_rope_head_dim: 64 },
    v_head_dim: 128,
    ...{ n_routed_experts: 64, num_experts_per_tok: 6, moe_intermediate_size: 1408 },
    ...{ n_shared_experts: 2, first_k_dense_replace: 1, routed_scaling_factor: 1 },
    ...{ topk_method: "greedy", norm_topk_prob: false },
    vocab_size: 102_400,
    max_position_embeddings: 163_840,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    rope_scaling: {
      ...{ type: "yarn", factor: 40, original_max_position_embeddings: 4096 },
      ...{ beta_fast: 32, beta_slow: 1, mscale: MSCALE, mscale_all_dim: MSCALE },
    },
  },
  "llama3.2-1b": llama32(16, 2048, 32),
  "llama3.2-3b": llama32(28, 3072, 24),
};
