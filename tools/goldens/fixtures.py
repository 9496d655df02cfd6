"""The list of golden fixtures: which tiny models exist and what each one is there to catch.

Owns the configurations, written as published checkpoints write them (old and new RoPE keys).
Refuses to hold weights or logits: those are derived from the seed in `weights.py`.
"""

import dataclasses
import zlib

ALL_DTYPES = ("f32", "f16", "bf16")
F32_ONLY = ("f32",)

# 1: no history at all. 7: below every block, tile and subgroup. 101: past the windows (33, 29),
# past three 32-token KV blocks and one 64-token attention tile, and a multiple of none of them.
PROMPT_LENGTHS = (1, 7, 101)


@dataclasses.dataclass(frozen=True)
class Fixture:
    """One tiny random model; `covers` is for people, `config` is config.json without its dtype."""

    name: str
    covers: str
    config: dict
    dtypes: tuple[str, ...] = F32_ONLY
    shards: int = 1

    @property
    def seed(self) -> int:
        """Derived from the name, so that adding a fixture leaves the others unchanged."""
        return zlib.crc32(self.name.encode())


def _config(model_type: str, architecture: str, **keys) -> dict:
    common = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-2,
        "tie_word_embeddings": False,
        "vocab_size": 131,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return common | keys


def _llama(**keys) -> dict:
    return _config("llama", "LlamaForCausalLM", **({"rope_theta": 10000.0} | keys))


def _mistral(**keys) -> dict:
    return _config("mistral", "MistralForCausalLM", **({"rope_theta": 10000.0} | keys))


def _qwen2(**keys) -> dict:
    return _config("qwen2", "Qwen2ForCausalLM", **({"rope_theta": 1000000.0} | keys))


def _qwen3(**keys) -> dict:
    return _config("qwen3", "Qwen3ForCausalLM", **keys)


def _smollm3(**keys) -> dict:
    return _config("smollm3", "SmolLM3ForCausalLM", pad_token_id=0, **keys)


FIXTURES = (
    Fixture(
        "llama",
        "plain rotary embedding, one KV head per query head, head size from hidden size, untied",
        _llama(num_attention_heads=2, rope_scaling=None),
        ALL_DTYPES,
    ),
    Fixture(
        "llama-llama3",
        "rope_scaling llama3, all three bands, 4 query heads per KV head, one layer, two shards",
        _llama(
            num_attention_heads=8,
            num_hidden_layers=1,
            head_dim=32,
            vocab_size=160,
            rope_theta=500000.0,
            rope_scaling={
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 96,
            },
        ),
        shards=2,
    ),
    Fixture(
        "llama-linear",
        "rope_scaling linear under its old key `type`, 3 query heads per KV head, tied",
        _llama(
            hidden_size=96,
            intermediate_size=96,
            num_attention_heads=3,
            num_key_value_heads=1,
            num_hidden_layers=1,
            tie_word_embeddings=True,
            rope_scaling={"type": "linear", "factor": 4.0},
        ),
    ),
    Fixture(
        "llama-bias",
        "attention_bias and mlp_bias, head size 64 unequal to hidden / heads, one layer",
        _llama(
            head_dim=64,
            num_attention_heads=2,
            num_hidden_layers=1,
            attention_bias=True,
            mlp_bias=True,
            vocab_size=129,
        ),
    ),
    Fixture(
        "mistral",
        "sliding window of 33 on every layer, head size unequal to hidden / heads, untied",
        _mistral(head_dim=32, sliding_window=33),
        ALL_DTYPES,
    ),
    Fixture(
        "mistral-full",
        "sliding_window null, head_dim null, GELU (tanh), new-style rope_parameters, a single head",
        _config(
            "mistral",
            "MistralForCausalLM",
            num_attention_heads=1,
            num_key_value_heads=1,
            num_hidden_layers=1,
            vocab_size=128,
            hidden_act="gelu_pytorch_tanh",
            sliding_window=None,
            head_dim=None,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
    ),
    Fixture(
        "qwen2",
        "biases on q, k and v only; tied; sliding_window present but switched off",
        _qwen2(
            num_attention_heads=2,
            tie_word_embeddings=True,
            use_sliding_window=False,
            sliding_window=29,
            max_window_layers=1,
        ),
        ALL_DTYPES,
    ),
    Fixture(
        "qwen2-window",
        "use_sliding_window: layer 0 full, layer 1 windowed at 29; head_dim given, untied",
        _qwen2(
            head_dim=32,
            use_sliding_window=True,
            sliding_window=29,
            max_window_layers=1,
        ),
    ),
    Fixture(
        "qwen3",
        "QK-norm, head size unequal to hidden / heads, 2 query heads per KV head, tied",
        _qwen3(
            head_dim=32,
            tie_word_embeddings=True,
            rope_theta=1000000.0,
            rope_scaling=None,
            attention_bias=False,
            use_sliding_window=False,
            sliding_window=None,
            max_window_layers=2,
        ),
        ALL_DTYPES,
    ),
    Fixture(
        "qwen3-head128",
        "head size 128, 2 query heads on the only KV head, new-style rope_parameters, untied",
        _qwen3(
            head_dim=128,
            num_attention_heads=2,
            num_key_value_heads=1,
            num_hidden_layers=1,
            attention_bias=False,
            use_sliding_window=False,
            sliding_window=None,
            layer_types=["full_attention"],
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
    ),
    Fixture(
        "smollm3",
        "no rotary embedding on every second layer, by no_rope_layer_interval; tied",
        _smollm3(
            num_attention_heads=2,
            no_rope_layer_interval=2,
            tie_word_embeddings=True,
            rope_theta=5000000.0,
            rope_scaling=None,
            attention_bias=False,
            mlp_bias=False,
            use_sliding_window=False,
            sliding_window=None,
        ),
        ALL_DTYPES,
    ),
    Fixture(
        "smollm3-list",
        "no_rope_layers as a list (first layer without), 4 query heads per KV head, untied",
        _smollm3(
            head_dim=32,
            num_key_value_heads=1,
            vocab_size=160,
            no_rope_layers=[0, 1],
            no_rope_layer_interval=4,
            layer_types=["full_attention", "full_attention"],
            rope_parameters={"rope_type": "default", "rope_theta": 2000000.0},
            attention_bias=False,
            mlp_bias=False,
            use_sliding_window=False,
            sliding_window=None,
        ),
    ),
)
