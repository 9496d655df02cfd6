"""Mistakes of projections and of the MLP."""

from collections.abc import Iterator

from torch import nn

from .declare import layers, mistake


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


for _projection in (
    *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    *("conv.in_proj", "conv.conv", "conv.out_proj"),
):
    _declare_bias_omitted(_projection)


def _mlps(model) -> list[nn.Module]:
    """Those that see every token; experts have mistakes of their own."""
    own = [getattr(layer, "mlp", None) for layer in layers(model)]
    return [mlp for mlp in own if hasattr(mlp, "gate_proj")]


def _fused_mlps(model) -> list[nn.Module]:
    """Those with gates and values in one projection."""
    own = [getattr(layer, "mlp", None) for layer in layers(model)]
    return [mlp for mlp in own if isinstance(getattr(mlp, "gate_up_proj", None), nn.Linear)]


def _has_fused_mlps(model) -> bool:
    return len(_fused_mlps(model)) > 0


@mistake("gate_up_halves_swapped", "values above gates in their matrix", _has_fused_mlps)
def _swap_halves(model) -> None:
    for mlp in _fused_mlps(model):
        weight = mlp.gate_up_proj.weight
        weight.copy_(weight.roll(len(weight) // 2, 0))


@mistake("wrong_fused_activation", "SiLU replaced by GELU (tanh)", _has_fused_mlps)
def _swap_fused_activation(model) -> None:
    for mlp in _fused_mlps(model):
        mlp.activation_fn = nn.GELU(approximate="tanh")


@mistake("kv_rows_swapped", "values above keys in the QKV matrix", _has_fused_mlps)
def _swap_kv_rows(model) -> None:
    for layer in layers(model):
        block = layer.self_attn
        rows = block.qkv_proj.weight
        kv = rows[block.config.num_attention_heads * block.head_dim :]
        kv.copy_(kv.roll(len(kv) // 2, 0))


def _has_mlps(model) -> bool:
    return len(_mlps(model)) > 0


@mistake("wrong_activation", "SiLU for GELU (tanh), or the reverse", _has_mlps)
def _swap_activation(model) -> None:
    config = model.config
    silu = (getattr(config, "hidden_activation", None) or config.hidden_act) == "silu"
    for mlp in _mlps(model):
        mlp.act_fn = nn.GELU(approximate="tanh") if silu else nn.SiLU()


@mistake("gate_up_swapped", "activation applied to up, not gate", _has_mlps)
def _activate_up(model) -> None:
    for mlp in _mlps(model):
        mlp.gate_proj, mlp.up_proj = mlp.up_proj, mlp.gate_proj


def _numbered_mlps(model) -> list[nn.Module]:
    """Those whose projections are called w1, w3 and w2."""
    own = [getattr(layer, "feed_forward", None) for layer in layers(model)]
    return [mlp for mlp in own if hasattr(mlp, "w1")]


@mistake("w1_w3_swapped", "activation applied to w3, not w1", lambda m: len(_numbered_mlps(m)) > 0)
def _activate_w3(model) -> None:
    for mlp in _numbered_mlps(model):
        mlp.w1, mlp.w3 = mlp.w3, mlp.w1
