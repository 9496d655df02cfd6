"""Mistakes of rotary embedding."""

import torch
from float64 import Float64
from mutation import Patches
from torch import nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from .declare import Test, attentions, layers, mistake


def _tables(model) -> nn.Module:
    return model.model.pos_emb if hasattr(model.model, "pos_emb") else model.model.rotary_emb


def _rope_parameters(model) -> list[dict]:
    """One, or one per type of layer."""
    parameters = model.config.rope_parameters
    return [parameters] if "rope_type" in parameters else list(parameters.values())


def _scaling(kind: str) -> Test:
    return lambda model: any(p["rope_type"] == kind for p in _rope_parameters(model))


def _has_local_rope(model) -> bool:
    return "sliding_attention" in model.config.rope_parameters


def _unscaled_frequencies(model) -> torch.Tensor:
    with Float64(strict=False):
        frequencies, _ = _tables(model).compute_default_rope_parameters(model.config)
    return frequencies


@mistake("rope_half_frequency", "rotary frequencies halved")
def _halve_frequencies(model) -> None:
    for name, frequencies in _tables(model).named_buffers():
        if "original" not in name:
            frequencies.mul_(0.5)


@mistake("local_rope_global", "windowed layers rotate as the others do", _has_local_rope)
def _rotate_globally(model) -> None:
    tables = _tables(model)
    tables.sliding_attention_inv_freq.copy_(tables.full_attention_inv_freq)


@mistake("global_rope_local", "layers without window rotate as the windowed ones", _has_local_rope)
def _rotate_locally(model) -> None:
    tables = _tables(model)
    tables.full_attention_inv_freq.copy_(tables.sliding_attention_inv_freq)


def _rotate_neighbours(q, k, cos, sin, unsqueeze_dim=1):
    half = cos.shape[-1] // 2
    cos, sin = (t[..., :half].unsqueeze(unsqueeze_dim) for t in (cos, sin))

    def rotate(x):
        even, odd = x[..., 0 : 2 * half : 2], x[..., 1 : 2 * half : 2]
        rotated = torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)
        return torch.cat((rotated, x[..., 2 * half :]), -1)

    return rotate(q), rotate(k)


@mistake(
    "rope_interleaved",
    "rotary pairs (2i, 2i+1), not (i, i+H/2)",
    lambda model: not hasattr(attentions(model)[0], "kv_b_proj"),
)
def _interleave_rope(_model) -> Patches:
    return {"apply_rotary_pos_emb": _rotate_neighbours}


@mistake("linear_scaling_ignored", "linear RoPE scaling ignored", _scaling("linear"))
@mistake("llama3_scaling_ignored", "llama3 RoPE scaling ignored", _scaling("llama3"))
def _ignore_scaling(model) -> None:
    if _has_local_rope(model):
        scaled = model.config.rope_parameters["full_attention"]
        _tables(model).full_attention_inv_freq.mul_(scaled["factor"])
    else:
        _tables(model).inv_freq.copy_(_unscaled_frequencies(model))


@mistake("llama3_smoothing_omitted", "llama3 middle band left unscaled", _scaling("llama3"))
def _omit_llama3_smoothing(model) -> None:
    plain = _unscaled_frequencies(model)
    rope = model.config.rope_parameters
    longest = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    slow = 2 * torch.pi / plain > longest
    _tables(model).inv_freq.copy_(torch.where(slow, plain / rope["factor"], plain))


@mistake("yarn_scaling_ignored", "YaRN frequencies ignored", _scaling("yarn"))
def _ignore_yarn(model) -> None:
    _tables(model).inv_freq.copy_(_unscaled_frequencies(model))


@mistake("yarn_all_divided", "YaRN dividing every frequency", _scaling("yarn"))
def _divide_all(model) -> None:
    rope = model.config.rope_parameters
    _tables(model).inv_freq.copy_(_unscaled_frequencies(model) / rope["factor"])


def _longrope_list(model, long: bool) -> torch.Tensor:
    first = model.config.rope_parameters["original_max_position_embeddings"]
    with Float64(strict=False):
        frequencies, _ = ROPE_INIT_FUNCTIONS["longrope"](
            model.config, None, seq_len=first + 1 if long else 1
        )
    return frequencies


@mistake("longrope_lists_swapped", "LongRoPE's other list of factors", _scaling("longrope"))
def _swap_lists(model) -> None:
    frequencies = _tables(model).inv_freq
    is_long = torch.equal(frequencies, _longrope_list(model, True))
    frequencies.copy_(_longrope_list(model, not is_long))


@mistake("longrope_ignored", "LongRoPE's factors ignored", _scaling("longrope"))
def _ignore_longrope(model) -> None:
    _tables(model).inv_freq.copy_(_unscaled_frequencies(model))


@mistake(
    "attention_factor_omitted",
    "attention factor omitted",
    lambda model: getattr(_tables(model), "attention_scaling", 1.0) != 1.0,
)
def _omit_attention_factor(model) -> None:
    _tables(model).attention_scaling = 1.0


def _has_partial_rope(model) -> bool:
    return any(p.get("partial_rotary_factor", 1.0) != 1.0 for p in _rope_parameters(model))


@mistake(
    "partial_rotary_ignored",
    "all dims rotated, not a part",
    lambda model: _has_partial_rope(model) and _scaling("default")(model),
)
def _rotate_all_dims(model) -> None:
    head_dim = attentions(model)[0].head_dim
    pairs = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    _tables(model).inv_freq = model.config.rope_parameters["rope_theta"] ** -pairs


def _has_nope(model) -> bool:
    return any(not getattr(block, "use_rope", True) for block in attentions(model))


@mistake("nope_layer_rotated", "layers without RoPE given RoPE", _has_nope)
def _rotate_nope_layers(model) -> None:
    for layer in layers(model):
        layer.self_attn.use_rope = 1


@mistake("nope_layers_shifted", "RoPE-less layers counted one too early", _has_nope)
def _shift_nope_layers(model) -> None:
    pattern = [layer.self_attn.use_rope for layer in layers(model)]
    for layer, use_rope in zip(layers(model), pattern[1:] + pattern[:1], strict=True):
        layer.self_attn.use_rope = use_rope
