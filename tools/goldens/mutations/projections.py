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


for _projection in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
    _declare_bias_omitted(_projection)


def _mlps(model) -> list[nn.Module]:
    """Those that see every token; experts have mistakes of their own."""
    own = [getattr(layer, "mlp", None) for layer in layers(model)]
    return [mlp for mlp in own if hasattr(mlp, "gate_proj")]


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
