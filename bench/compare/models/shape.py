"""The sizes of the models compared, and their Hugging Face configuration. Llama's architecture,
which every peer has: 4 query heads per KV head, head size 64, output apart from the embedding."""

HEAD_DIM = 64
MAX_POSITIONS = 2048
ROPE_THETA = 10000.0
NORM_EPS = 1e-5
BOS, EOS, UNK = 1, 2, 0

SIZES = {
    "5m": dict(hidden=256, layers=4, heads=4, kv_heads=1, ffn=768, vocab=4096),
    "25m": dict(hidden=512, layers=8, heads=8, kv_heads=2, ffn=1280, vocab=4096),
    "100m": dict(hidden=768, layers=8, heads=12, kv_heads=3, ffn=2048, vocab=32000),
    "500m": dict(hidden=1536, layers=16, heads=24, kv_heads=6, ffn=4096, vocab=32000),
}


def config(size):
    """config.json of one size. transformers.js reads its own entry; the others ignore it."""
    shape = SIZES[size]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["ffn"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "head_dim": HEAD_DIM,
        "vocab_size": shape["vocab"],
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "torch_dtype": "float16",
        "use_cache": True,
        "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    }
