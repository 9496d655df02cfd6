"""Mistakes of attention: its scale, its windows, and which KV head a query reads."""

from mutation import Patches, modelling

from .declare import attentions, mistake


@mistake("attention_scale_1.1", "attention scale × 1.1")
def _scale_up(model) -> None:
    for block in attentions(model):
        block.scaling *= 1.1


def _hidden_per_head(model) -> float:
    return model.config.hidden_size / model.config.num_attention_heads


def _head_size_given(model) -> bool:
    attention = attentions(model)[0]
    # Latent attention has two sizes of heads, and mistakes of its own.
    return hasattr(attention, "head_dim") and _hidden_per_head(model) != attention.head_dim


@mistake("attention_scale_from_hidden", "scale from hidden / heads, not head_dim", _head_size_given)
def _scale_by_hidden(model) -> None:
    for block in attentions(model):
        block.scaling = _hidden_per_head(model) ** -0.5


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
    """KV heads K, and query heads per KV head G; latent attention has one for all."""
    if hasattr(attentions(model)[0], "kv_b_proj"):
        return 1, model.config.num_attention_heads
    kv_heads = model.config.num_key_value_heads
    return kv_heads, model.config.num_attention_heads // kv_heads


def _read_kv_heads(model, heads: list[int]) -> Patches:
    """Query head n attends to KV head heads[n]."""
    for block in attentions(model):
        block.num_key_value_groups = 1
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
