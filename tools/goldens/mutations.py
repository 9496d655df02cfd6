"""The plausible mistakes, each made inside transformers.

Owns what an engine could get wrong and which models can show it. Refuses to share code or
formulas with the engine under test. `MUTATIONS` holds them in the order they stand here.
"""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from float64 import Float64
from mutation import Mutation, Patches, always, modelling

Test = Callable[[PreTrainedModel], bool]

MUTATIONS: list[Mutation] = []


def mistake(name: str, text: str, when: Test = always):
    def declare(apply: Callable):
        MUTATIONS.append(Mutation(name, text, apply, when))
        return apply

    return declare


def _layers(model) -> list[nn.Module]:
    return list(model.model.layers)


# --- rotary embedding -----------------------------------------------------------------------


def _scaling(kind: str) -> Test:
    return lambda model: model.config.rope_parameters["rope_type"] == kind


def _unscaled_frequencies(model) -> torch.Tensor:
    with Float64(strict=False):
        frequencies, _ = model.model.rotary_emb.compute_default_rope_parameters(model.config)
    return frequencies


@mistake("rope_half_frequency", "rotary frequencies halved")
def _halve_frequencies(model) -> None:
    model.model.rotary_emb.inv_freq.mul_(0.5)


def _rotate_neighbours(q, k, cos, sin, unsqueeze_dim=1):
    half = cos.shape[-1] // 2
    cos, sin = (t[..., :half].unsqueeze(unsqueeze_dim) for t in (cos, sin))

    def rotate(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)

    return rotate(q), rotate(k)


@mistake("rope_interleaved", "rotary pairs (2i, 2i+1), not (i, i+H/2)")
def _interleave_rope(_model) -> Patches:
    return {"apply_rotary_pos_emb": _rotate_neighbours}


@mistake("linear_scaling_ignored", "linear RoPE scaling ignored", _scaling("linear"))
@mistake("llama3_scaling_ignored", "llama3 RoPE scaling ignored", _scaling("llama3"))
def _ignore_scaling(model) -> None:
    model.model.rotary_emb.inv_freq.copy_(_unscaled_frequencies(model))


@mistake("llama3_smoothing_omitted", "llama3 middle band left unscaled", _scaling("llama3"))
def _omit_llama3_smoothing(model) -> None:
    plain = _unscaled_frequencies(model)
    rope = model.config.rope_parameters
    longest = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    slow = 2 * torch.pi / plain > longest
    model.model.rotary_emb.inv_freq.copy_(torch.where(slow, plain / rope["factor"], plain))


def _has_nope(model) -> bool:
    return any(not getattr(layer.self_attn, "use_rope", True) for layer in _layers(model))


@mistake("nope_layer_rotated", "layers without RoPE given RoPE", _has_nope)
def _rotate_nope_layers(model) -> None:
    for layer in _layers(model):
        layer.self_attn.use_rope = 1


@mistake("nope_layers_shifted", "RoPE-less layers counted one too early", _has_nope)
def _shift_nope_layers(model) -> None:
    layers = _layers(model)
    pattern = [layer.self_attn.use_rope for layer in layers]
    for layer, use_rope in zip(layers, pattern[1:] + pattern[:1], strict=True):
        layer.self_attn.use_rope = use_rope


# --- attention ------------------------------------------------------------------------------


@mistake("attention_scale_1.1", "attention scale × 1.1")
def _scale_up(model) -> None:
    for layer in _layers(model):
        layer.self_attn.scaling *= 1.1


def _hidden_per_head(model) -> float:
    return model.config.hidden_size / model.config.num_attention_heads


def _head_size_given(model) -> bool:
    return _hidden_per_head(model) != _layers(model)[0].self_attn.head_dim


@mistake("attention_scale_from_hidden", "scale from hidden / heads, not head_dim", _head_size_given)
def _scale_by_hidden(model) -> None:
    for layer in _layers(model):
        layer.self_attn.scaling = _hidden_per_head(model) ** -0.5


def _windows(model) -> list[bool]:
    """Which layers attend through a window."""
    config = model.config
    layer_types = getattr(config, "layer_types", None)
    if layer_types is None:
        return [getattr(config, "sliding_window", None) is not None] * config.num_hidden_layers
    return [kind == "sliding_attention" for kind in layer_types]


def _any_window(model) -> bool:
    return any(_windows(model))


@mistake("window_plus_1", "window one token too wide", _any_window)
def _widen_window(model) -> None:
    model.config.sliding_window += 1


@mistake("window_minus_1", "window one token too narrow", _any_window)
def _narrow_window(model) -> None:
    model.config.sliding_window -= 1


@mistake("window_ignored", "no window at all", _any_window)
def _ignore_window(model) -> None:
    model.config.sliding_window = 1 << 20


@mistake(
    "window_on_every_layer",
    "windows also on full-attention layers",
    lambda model: _any_window(model) and not all(_windows(model)),
)
def _window_everywhere(model) -> None:
    model.config.layer_types = ["sliding_attention"] * model.config.num_hidden_layers


def _groups(model) -> tuple[int, int]:
    """KV heads K, and query heads per KV head G."""
    kv_heads = model.config.num_key_value_heads
    return kv_heads, model.config.num_attention_heads // kv_heads


def _read_kv_heads(model, heads: list[int]) -> Patches:
    """Query head n attends to KV head heads[n]."""
    for layer in _layers(model):
        layer.self_attn.num_key_value_groups = 1
    original = modelling(model).eager_attention_forward

    def attention(module, query, key, value, *args, **kwargs):
        return original(module, query, key[:, heads], value[:, heads], *args, **kwargs)

    return {"eager_attention_forward": attention}


@mistake(
    "kv_head_swapped", "one query head reads the next KV head", lambda model: _groups(model)[0] > 1
)
def _swap_kv_head(model) -> Patches:
    kv_heads, group = _groups(model)
    return _read_kv_heads(model, [1, *(n // group for n in range(1, kv_heads * group))])


@mistake(
    "kv_head_modulo",
    "query head n reads KV head n mod K, not n / G",
    lambda model: min(_groups(model)) > 1,
)
def _interleave_kv_heads(model) -> Patches:
    kv_heads, group = _groups(model)
    return _read_kv_heads(model, [n % kv_heads for n in range(kv_heads * group)])


# --- norms ----------------------------------------------------------------------------------


def _has_qk_norm(model) -> bool:
    return hasattr(_layers(model)[0].self_attn, "q_norm")


@mistake("eps_x10", "eps × 10 in every norm")
def _raise_eps(model) -> None:
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon *= 10


@mistake("qk_norm_eps_x10", "eps × 10 in the QK-norms only", _has_qk_norm)
def _raise_qk_norm_eps(model) -> None:
    for layer in _layers(model):
        layer.self_attn.q_norm.variance_epsilon *= 10
        layer.self_attn.k_norm.variance_epsilon *= 10


@mistake("qk_norm_omitted", "QK-norm omitted", _has_qk_norm)
def _omit_qk_norm(model) -> None:
    for layer in _layers(model):
        layer.self_attn.q_norm = nn.Identity()
        layer.self_attn.k_norm = nn.Identity()


@mistake("qk_norm_after_rope", "QK-norm after RoPE, not before", _has_qk_norm)
def _qk_norm_after_rope(model) -> Patches:
    blocks = [layer.self_attn for layer in _layers(model)]
    norms = {block: (block.q_norm, block.k_norm) for block in blocks}
    _omit_qk_norm(model)
    original = modelling(model).eager_attention_forward

    def attention(module, query, key, *args, **kwargs):
        q_norm, k_norm = norms[module]
        return original(module, q_norm(query), k_norm(key), *args, **kwargs)

    return {"eager_attention_forward": attention}


# --- projections and MLP --------------------------------------------------------------------


def _biases(model, projection: str) -> Iterator[nn.Parameter]:
    for name, parameter in model.named_parameters():
        if name.endswith(f"{projection}.bias"):
            yield parameter


def _declare_bias_omitted(projection: str) -> None:
    def has_bias(model) -> bool:
        return next(_biases(model, projection), None) is not None

    @mistake(f"{projection}_bias_omitted", f"bias of {projection} not added", has_bias)
    def _omit(model) -> None:
        for parameter in _biases(model, projection):
            parameter.zero_()


for _projection in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
    _declare_bias_omitted(_projection)


@mistake("wrong_activation", "SiLU for GELU (tanh), or the reverse")
def _swap_activation(model) -> None:
    silu = model.config.hidden_act == "silu"
    for layer in _layers(model):
        layer.mlp.act_fn = nn.GELU(approximate="tanh") if silu else nn.SiLU()


@mistake("gate_up_swapped", "activation applied to up, not gate")
def _activate_up(model) -> None:
    for layer in _layers(model):
        layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj


# --- weights --------------------------------------------------------------------------------


@mistake(
    "head_tied",
    "embedding used as the LM head",
    lambda model: not model.config.tie_word_embeddings,
)
def _tie_head(model) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight


def _without_low_bits(x: torch.Tensor) -> torch.Tensor:
    """The stored values all fit float32, whose upper 16 bits are bf16."""
    return (x.float().view(torch.int32) & -65536).view(torch.float32).double()


def _finer_than_bf16(model) -> bool:
    return any(not torch.equal(_without_low_bits(p), p) for p in model.parameters())


@mistake("bf16_truncation", "weights truncated to bf16", _finer_than_bf16)
def _truncate_weights(model) -> None:
    for parameter in model.parameters():
        parameter.copy_(_without_low_bits(parameter))
