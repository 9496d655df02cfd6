"""Mistakes of norms."""

from mutation import Patches, modelling
from torch import nn

from .declare import attentions, layers, mistake


def _qk_norms(block: nn.Module) -> tuple[str, str]:
    """What the block calls them, if it has them."""
    return ("q_norm", "k_norm") if hasattr(block, "q_norm") else ("q_layernorm", "k_layernorm")


def _has_qk_norm(model) -> bool:
    block = attentions(model)[0]
    return hasattr(block, _qk_norms(block)[0])


def _is_of_rows(model) -> bool:
    """QK-norm over all heads together."""
    attention = attentions(model)[0]
    return hasattr(attention, "q_norm") and attention.q_norm.weight.numel() != attention.head_dim


def _raise(module: nn.Module) -> None:
    for name in ("variance_epsilon", "eps"):
        if hasattr(module, name):
            setattr(module, name, 10 * getattr(module, name))


@mistake("eps_x10", "eps × 10 in every norm")
def _raise_eps(model) -> None:
    for module in model.modules():
        _raise(module)


def _adds_one(model) -> bool:
    return "Gemma" in type(model.model).__name__


@mistake("norm_without_one", "norms times w, not 1 + w", _adds_one)
def _omit_one(model) -> None:
    for module in model.modules():
        if "RMSNorm" in type(module).__name__:
            module.weight -= 1


@mistake("qk_norm_eps_x10", "eps × 10 in the QK-norms only", _has_qk_norm)
def _raise_qk_norm_eps(model) -> None:
    for block in attentions(model):
        for name in _qk_norms(block):
            _raise(getattr(block, name))


@mistake("qk_norm_omitted", "QK-norm omitted", _has_qk_norm)
def _omit_qk_norm(model) -> None:
    for block in attentions(model):
        for name in _qk_norms(block):
            setattr(block, name, nn.Identity())


@mistake("qk_norm_after_rope", "QK-norm after RoPE, not before", _has_qk_norm)
def _qk_norm_after_rope(model) -> Patches:
    norms = {
        block: tuple(getattr(block, name) for name in _qk_norms(block))
        for block in attentions(model)
    }
    of_rows = _is_of_rows(model)
    _omit_qk_norm(model)
    original = modelling(model).eager_attention_forward


    def normed(norm, heads):
        """`heads` is [1,N,T,H]; a norm of rows takes [1,T,N*H]."""
        if not of_rows:
            return norm(heads)
        rows = heads.transpose(1, 2)
        return norm(rows.flatten(2)).view(rows.shape).transpose(1, 2)

    def attention(module, query, key, *args, **kwargs):
        q_norm, k_norm = norms[module]
        return original(module, normed(q_norm, query), normed(k_norm, key), *args, **kwargs)

    return {"eager_attention_forward": attention}


class _OfHeads(nn.Module):
    """A norm of rows that takes each head by itself."""

    def __init__(self, norm: nn.Module, head_dim: int):
        super().__init__()
        self.norm, self.head_dim = norm, head_dim

    def forward(self, rows):
        heads = rows.unflatten(-1, (-1, self.head_dim))
        mean = heads.square().mean(-1, keepdim=True) + self.norm.variance_epsilon
        return (heads * mean.rsqrt()).flatten(-2) * self.norm.weight


@mistake("qk_norm_of_heads", "QK-norm of each head, not of all together", _is_of_rows)
def _norm_heads(model) -> None:
    for layer in layers(model):
        block = layer.self_attn
        block.q_norm = _OfHeads(block.q_norm, block.head_dim)
        block.k_norm = _OfHeads(block.k_norm, block.head_dim)


def _has_post_norms(model) -> bool:
    return hasattr(layers(model)[0], "post_feedforward_layernorm")


def _has_post_norms_only(model) -> bool:
    return _has_post_norms(model) and not hasattr(layers(model)[0], "input_layernorm")


@mistake("attention_post_norm_omitted", "norm after attention omitted", _has_post_norms)
def _omit_attention_post_norm(model) -> None:
    for layer in layers(model):
        layer.post_attention_layernorm = nn.Identity()


@mistake("mlp_post_norm_omitted", "norm after the MLP omitted", _has_post_norms)
def _omit_mlp_post_norm(model) -> None:
    for layer in layers(model):
        layer.post_feedforward_layernorm = nn.Identity()


@mistake("post_norms_before", "norms before the blocks, not after", _has_post_norms_only)
def _norm_before(model) -> None:
    for layer in layers(model):
        for block, norm in (
            (layer.self_attn.q_proj, layer.post_attention_layernorm),
            (layer.self_attn.k_proj, layer.post_attention_layernorm),
            (layer.self_attn.v_proj, layer.post_attention_layernorm),
            (layer.mlp, layer.post_feedforward_layernorm),
        ):
            block.register_forward_pre_hook(lambda _, args, norm=norm: (norm(args[0]),))
    _omit_attention_post_norm(model)
    _omit_mlp_post_norm(model)
