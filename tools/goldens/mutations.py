"""One plausible mistake at a time, made inside transformers.

Owns the mistakes an engine could make and which models can show them. Each takes a private copy
of a float64 model, breaks it in place, and may hand back replacements for functions of the
model's modelling module. Refuses to share code or formulas with the engine under test.
"""

import contextlib
import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from float64 import Float64

Patches = dict[str, Callable]


@dataclasses.dataclass(frozen=True)
class Mutation:
    """`apply` breaks the model and returns the functions to patch while it runs, if any."""

    name: str
    mistake: str
    applies: Callable[[PreTrainedModel], bool]
    apply: Callable[[PreTrainedModel], Patches | None]


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    return list(model.model.layers)


def _always(_model) -> bool:
    return True


# --- rotary embedding -----------------------------------------------------------------------


def _rope_parameters(model) -> dict:
    return model.config.rope_parameters


def _has_scaling(kind: str) -> Callable:
    return lambda model: _rope_parameters(model)["rope_type"] == kind


def _unscaled_frequencies(model) -> torch.Tensor:
    with Float64(strict=False):
        frequencies, _ = model.model.rotary_emb.compute_default_rope_parameters(model.config)
    return frequencies


def _halve_frequencies(model) -> None:
    model.model.rotary_emb.inv_freq.mul_(0.5)


def _ignore_scaling(model) -> None:
    model.model.rotary_emb.inv_freq.copy_(_unscaled_frequencies(model))


def _omit_llama3_smoothing(model) -> None:
    plain = _unscaled_frequencies(model)
    rope = _rope_parameters(model)
    longest = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    slow = 2 * torch.pi / plain > longest
    model.model.rotary_emb.inv_freq.copy_(torch.where(slow, plain / rope["factor"], plain))


def _rotate_neighbours(q, k, cos, sin, unsqueeze_dim=1):
    """Pairs elements 2i and 2i+1 (as GPT-J does) where these models pair i and i + H/2."""
    half = cos.shape[-1] // 2
    cos, sin = (t[..., :half].unsqueeze(unsqueeze_dim) for t in (cos, sin))

    def rotate(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)

    return rotate(q), rotate(k)


def _interleave_rope(_model) -> Patches:
    return {"apply_rotary_pos_emb": _rotate_neighbours}


def _has_nope(model) -> bool:
    return any(not getattr(layer.self_attn, "use_rope", True) for layer in _layers(model))


def _rotate_nope_layers(model) -> None:
    for layer in _layers(model):
        layer.self_attn.use_rope = 1


def _shift_nope_layers(model) -> None:
    layers = _layers(model)
    pattern = [layer.self_attn.use_rope for layer in layers]
    for layer, use_rope in zip(layers, pattern[1:] + pattern[:1]):
        layer.self_attn.use_rope = use_rope


# --- attention ------------------------------------------------------------------------------


def _scale_up(model) -> None:
    for layer in _layers(model):
        layer.self_attn.scaling *= 1.1


def _hidden_per_head(model) -> float:
    return model.config.hidden_size / model.config.num_attention_heads


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


def _window(change: Callable[[int], int]) -> Callable:
    def apply(model) -> None:
        model.config.sliding_window = change(model.config.sliding_window)

    return apply


def _window_everywhere(model) -> None:
    model.config.layer_types = ["sliding_attention"] * model.config.num_hidden_layers


def _groups(model) -> tuple[int, int]:
    """KV heads K, and query heads per KV head G."""
    kv_heads = model.config.num_key_value_heads
    return kv_heads, model.config.num_attention_heads // kv_heads


def _read_kv_heads(mapping: Callable[[int, int], list[int]]) -> Callable:
    """Query head n attends to KV head mapping[n]."""

    def apply(model) -> Patches:
        kv_heads, group = _groups(model)
        heads = mapping(kv_heads, group)
        for layer in _layers(model):
            layer.self_attn.num_key_value_groups = 1
        original = _modelling(model).eager_attention_forward

        def attention(module, query, key, value, *args, **kwargs):
            return original(module, query, key[:, heads], value[:, heads], *args, **kwargs)

        return {"eager_attention_forward": attention}

    return apply


def _one_head_swapped(kv_heads: int, group: int) -> list[int]:
    right = [n // group for n in range(kv_heads * group)]
    return [1, *right[1:]]


def _heads_modulo(kv_heads: int, group: int) -> list[int]:
    return [n % kv_heads for n in range(kv_heads * group)]


# --- norms and weights ----------------------------------------------------------------------


def _has_qk_norm(model) -> bool:
    return hasattr(_layers(model)[0].self_attn, "q_norm")


def _qk_norms(model) -> Iterator[nn.Module]:
    for layer in _layers(model):
        yield from (layer.self_attn.q_norm, layer.self_attn.k_norm)


def _eps_times_ten(modules: Callable) -> Callable:
    def apply(model) -> None:
        for module in modules(model):
            if hasattr(module, "variance_epsilon"):
                module.variance_epsilon *= 10

    return apply


def _omit_qk_norm(model) -> None:
    for layer in _layers(model):
        layer.self_attn.q_norm = nn.Identity()
        layer.self_attn.k_norm = nn.Identity()


def _qk_norm_after_rope(model) -> Patches:
    norms = {layer.self_attn: (layer.self_attn.q_norm, layer.self_attn.k_norm) for layer in _layers(model)}
    _omit_qk_norm(model)
    original = _modelling(model).eager_attention_forward

    def attention(module, query, key, *args, **kwargs):
        q_norm, k_norm = norms[module]
        return original(module, q_norm(query), k_norm(key), *args, **kwargs)

    return {"eager_attention_forward": attention}


def _omit_bias(projection: str) -> Mutation:
    def biases(model):
        for name, parameter in model.named_parameters():
            if name.endswith(f"{projection}.bias"):
                yield parameter

    def apply(model) -> None:
        for parameter in biases(model):
            parameter.zero_()

    return Mutation(
        f"{projection}_bias_omitted",
        f"bias of {projection} not added",
        lambda model: any(True for _ in biases(model)),
        apply,
    )


def _swap_activation(model) -> None:
    silu = model.config.hidden_act == "silu"
    for layer in _layers(model):
        layer.mlp.act_fn = nn.GELU(approximate="tanh") if silu else nn.SiLU()


def _activate_up(model) -> None:
    for layer in _layers(model):
        layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj


def _tie_head(model) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight


def _truncate_to_bf16(x: torch.Tensor) -> torch.Tensor:
    """Drops the low 16 bits of the float32 value; the stored values all fit float32."""
    bits = torch.from_numpy(x.detach().numpy().astype("<f4").view("<i4") & -65536)
    return torch.from_numpy(bits.numpy().view("<f4").astype("<f8"))


def _truncate_weights(model) -> None:
    for parameter in model.parameters():
        parameter.copy_(_truncate_to_bf16(parameter))


def _finer_than_bf16(model) -> bool:
    return any(not torch.equal(_truncate_to_bf16(p), p) for p in model.parameters())


# --------------------------------------------------------------------------------------------

MUTATIONS = (
    Mutation("rope_half_frequency", "rotary frequencies halved", _always, _halve_frequencies),
    Mutation("rope_interleaved", "rotary pairs (2i, 2i+1), not (i, i+H/2)", _always, _interleave_rope),
    Mutation("linear_scaling_ignored", "linear RoPE scaling ignored", _has_scaling("linear"), _ignore_scaling),
    Mutation("llama3_scaling_ignored", "llama3 RoPE scaling ignored", _has_scaling("llama3"), _ignore_scaling),
    Mutation("llama3_smoothing_omitted", "llama3 middle band left unscaled", _has_scaling("llama3"), _omit_llama3_smoothing),
    Mutation("nope_layer_rotated", "layers without RoPE given RoPE", _has_nope, _rotate_nope_layers),
    Mutation("nope_layers_shifted", "RoPE-less layers counted one too early", _has_nope, _shift_nope_layers),
    Mutation("attention_scale_1.1", "attention scale × 1.1", _always, _scale_up),
    Mutation(
        "attention_scale_from_hidden",
        "scale from hidden / heads, not from head_dim",
        lambda model: _hidden_per_head(model) != _layers(model)[0].self_attn.head_dim,
        _scale_by_hidden,
    ),
    Mutation("window_plus_1", "window one token too wide", lambda m: any(_windows(m)), _window(lambda w: w + 1)),
    Mutation("window_minus_1", "window one token too narrow", lambda m: any(_windows(m)), _window(lambda w: w - 1)),
    Mutation("window_ignored", "no window at all", lambda m: any(_windows(m)), _window(lambda w: 1 << 20)),
    Mutation(
        "window_on_every_layer",
        "windows also on full-attention layers",
        lambda m: any(_windows(m)) and not all(_windows(m)),
        _window_everywhere,
    ),
    Mutation(
        "kv_head_swapped",
        "one query head reads the next KV head",
        lambda m: _groups(m)[0] > 1,
        _read_kv_heads(_one_head_swapped),
    ),
    Mutation(
        "kv_head_modulo",
        "query head n reads KV head n mod K, not n / G",
        lambda m: min(_groups(m)) > 1,
        _read_kv_heads(_heads_modulo),
    ),
    Mutation("eps_x10", "eps × 10 in every norm", _always, _eps_times_ten(lambda m: m.modules())),
    Mutation("qk_norm_eps_x10", "eps × 10 in the QK-norms only", _has_qk_norm, _eps_times_ten(_qk_norms)),
    Mutation("qk_norm_omitted", "QK-norm omitted", _has_qk_norm, _omit_qk_norm),
    Mutation("qk_norm_after_rope", "QK-norm after RoPE, not before", _has_qk_norm, _qk_norm_after_rope),
    *map(
        _omit_bias,
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    ),
    Mutation("wrong_activation", "SiLU for GELU (tanh), or the reverse", _always, _swap_activation),
    Mutation("gate_up_swapped", "activation applied to up, not gate", _always, _activate_up),
    Mutation(
        "head_tied",
        "embedding used as the LM head",
        lambda model: not model.config.tie_word_embeddings,
        _tie_head,
    ),
    Mutation("bf16_truncation", "weights truncated to bf16", _finer_than_bf16, _truncate_weights),
)


def _modelling(model: PreTrainedModel):
    return sys.modules[type(model).__module__]


@contextlib.contextmanager
def mutated(model: PreTrainedModel, mutation: Mutation) -> Iterator[PreTrainedModel]:
    """A broken copy of the model, valid inside the `with` block; the original is untouched."""
    victim = copy.deepcopy(model)
    with torch.no_grad():
        patches = mutation.apply(victim) or {}
    module = _modelling(victim)
    originals = {name: getattr(module, name) for name in patches}
    try:
        for name, function in patches.items():
            setattr(module, name, function)
        yield victim
    finally:
        for name, function in originals.items():
            setattr(module, name, function)
