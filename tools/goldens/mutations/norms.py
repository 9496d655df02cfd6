"""Mistakes of norms."""

from mutation import Patches, modelling
from torch import nn

from .declare import layers, mistake


def _has_qk_norm(model) -> bool:
    return hasattr(layers(model)[0].self_attn, "q_norm")


@mistake("eps_x10", "eps × 10 in every norm")
def _raise_eps(model) -> None:
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon *= 10


@mistake("qk_norm_eps_x10", "eps × 10 in the QK-norms only", _has_qk_norm)
def _raise_qk_norm_eps(model) -> None:
    for layer in layers(model):
        layer.self_attn.q_norm.variance_epsilon *= 10
        layer.self_attn.k_norm.variance_epsilon *= 10


@mistake("qk_norm_omitted", "QK-norm omitted", _has_qk_norm)
def _omit_qk_norm(model) -> None:
    for layer in layers(model):
        layer.self_attn.q_norm = nn.Identity()
        layer.self_attn.k_norm = nn.Identity()


@mistake("qk_norm_after_rope", "QK-norm after RoPE, not before", _has_qk_norm)
def _qk_norm_after_rope(model) -> Patches:
    blocks = [layer.self_attn for layer in layers(model)]
    norms = {block: (block.q_norm, block.k_norm) for block in blocks}
    _omit_qk_norm(model)
    original = modelling(model).eager_attention_forward

    def attention(module, query, key, *args, **kwargs):
        q_norm, k_norm = norms[module]
        return original(module, q_norm(query), k_norm(key), *args, **kwargs)

    return {"eager_attention_forward": attention}
