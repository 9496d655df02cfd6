"""Mistakes of multi-head latent attention."""

import torch
from mutation import Patches, modelling
from torch import nn

from .declare import attentions, mistake


def is_latent(model) -> bool:
    return hasattr(attentions(model)[0], "kv_b_proj")


def _query_projection(block: nn.Module) -> nn.Linear:
    return block.q_proj if block.q_lora_rank is None else block.q_b_proj


@mistake("latent_not_normalised", "the latent cached as it is projected", is_latent)
def _leave_latent(model) -> None:
    for block in attentions(model):
        block.kv_a_layernorm = nn.Identity()


@mistake("latent_norm_eps", "rms_norm_eps in the norms of latents too", is_latent)
def _use_config_eps(model) -> None:
    for block in attentions(model):
        for norm in (block.kv_a_layernorm, getattr(block, "q_a_layernorm", None)):
            if norm is not None:
                norm.variance_epsilon = model.config.rms_norm_eps


def _has_query_latent(model) -> bool:
    return is_latent(model) and model.config.q_lora_rank is not None


@mistake("query_latent_not_normalised", "the latent of queries not normalised", _has_query_latent)
def _leave_query_latent(model) -> None:
    for block in attentions(model):
        block.q_a_layernorm = nn.Identity()


def _rotate_halves(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


@mistake("latent_rope_halves", "rotary pairs (i, i+R/2), not (2i, 2i+1)", is_latent)
def _pair_halves(model) -> Patches:
    def of_complex(q, k, freqs):
        cos, sin = freqs.unsqueeze(1).real, freqs.unsqueeze(1).imag
        return _rotate_halves(q, cos, sin), _rotate_halves(k, cos, sin)

    def of_pairs(q, k, cos, sin, **_):
        half = cos.shape[-1] // 2
        cos, sin = (t[..., :half].unsqueeze(1) for t in (cos, sin))
        return _rotate_halves(q, cos, sin), _rotate_halves(k, cos, sin)

    if model.config.model_type == "deepseek_v2":
        return {"apply_rotary_emb": of_complex}
    return {"apply_rotary_pos_emb_interleave": of_pairs}


@mistake("rotary_dims_first", "the dims of a query that rotate sought before the others", is_latent)
def _rotate_first_dims(model) -> None:
    for block in attentions(model):
        rows = _query_projection(block).weight.view(block.num_heads, block.qk_head_dim, -1)
        rows.copy_(rows.roll(block.qk_nope_head_dim, 1))


@mistake("rotary_key_first", "the rotated key sought before the latent", is_latent)
def _rotate_first_key(model) -> None:
    for block in attentions(model):
        rows = block.kv_a_proj_with_mqa.weight
        rows.copy_(rows.roll(block.kv_lora_rank, 0))


@mistake("values_before_keys", "each head's values above its keys in kv_b_proj", is_latent)
def _swap_keys_and_values(model) -> None:
    for block in attentions(model):
        rows = block.kv_b_proj.weight.view(block.num_heads, -1, block.kv_lora_rank)
        rows.copy_(rows.roll(block.qk_nope_head_dim, 1))


@mistake("keys_of_all_heads_first", "all heads' keys above all values in kv_b_proj", is_latent)
def _gather_keys(model) -> None:
    for block in attentions(model):
        rows = block.kv_b_proj.weight
        nope = block.num_heads * block.qk_nope_head_dim
        parts = [part.unflatten(0, (block.num_heads, -1)) for part in (rows[:nope], rows[nope:])]
        rows.copy_(torch.cat(parts, 1).flatten(0, 1))


def _plain_scale(block: nn.Module) -> float:
    return block.qk_head_dim**-0.5


@mistake(
    "mscale_omitted",
    "scale without mscale²",
    lambda model: is_latent(model) and attentions(model)[0].scaling != _plain_scale(attentions(model)[0]),
)
def _omit_mscale(model) -> None:
    for block in attentions(model):
        block.scaling = _plain_scale(block)


@mistake("scale_from_nope", "scale from the dims that do not rotate", is_latent)
def _scale_from_nope(model) -> None:
    for block in attentions(model):
        block.scaling *= (block.qk_head_dim / block.qk_nope_head_dim) ** 0.5


@mistake("query_heads_shifted", "a head's queries meet the next head's keys", is_latent)
def _shift_heads(model) -> Patches:
    original = modelling(model).eager_attention_forward

    def attention(module, query, key, *args, **kwargs):
        return original(module, query, key.roll(-1, 1), *args, **kwargs)

    return {"eager_attention_forward": attention}
