"""Mistakes of gated short convolutions."""

from collections.abc import Callable

import torch
from mutation import Patches, modelling
from torch import nn

from .declare import layers, mistake


def _convolutions(model) -> list[nn.Module]:
    return [layer.conv for layer in layers(model) if hasattr(layer, "conv")]


def _has_convolutions(model) -> bool:
    return len(_convolutions(model)) > 0


def _mistake(name: str, text: str) -> Callable:
    return mistake(name, text, _has_convolutions)


def _reordered(model, parts: tuple[int, int, int]) -> None:
    """Of what `in_proj` gives, in thirds."""
    for block in _convolutions(model):
        for parameter in block.in_proj.parameters():
            thirds = parameter.clone().chunk(3)
            parameter.copy_(torch.cat([thirds[part] for part in parts]))


@_mistake("conv_taps_reversed", "taps from the newest token to the oldest")
def _reverse_taps(model) -> None:
    for block in _convolutions(model):
        block.conv.weight.copy_(block.conv.weight.flip(-1))


@_mistake("conv_b_c_swapped", "B taken for C")
def _swap_gates(model) -> None:
    _reordered(model, (1, 0, 2))


@_mistake("conv_c_x_swapped", "C taken for x")
def _swap_gate_and_input(model) -> None:
    _reordered(model, (0, 2, 1))


def _without(model, part: int) -> None:
    """Takes ones for a third of what `in_proj` gives."""

    def hook(_module, _inputs, out):
        thirds = list(out.chunk(3, dim=-1))
        thirds[part] = torch.ones_like(thirds[part])
        return torch.cat(thirds, -1)

    for block in _convolutions(model):
        block.in_proj.register_forward_hook(hook)


@_mistake("conv_of_x", "convolution of x, not of B · x")
def _omit_input_gate(model) -> None:
    _without(model, 0)


@_mistake("conv_ungated", "output not times C")
def _omit_output_gate(model) -> None:
    _without(model, 1)


@_mistake("conv_oldest_tap_lost", "one token too few seen")
def _lose_oldest(model) -> None:
    for block in _convolutions(model):
        block.conv.weight[..., 0] = 0


@_mistake("conv_late", "the token itself not seen, one more before it is")
def _shift(model) -> Patches:
    original = modelling(model).causal_conv1d_fn

    def late(hidden_states, *args, **kwargs):
        return original(nn.functional.pad(hidden_states, (1, 0))[..., :-1], *args, **kwargs)

    return {"causal_conv1d_fn": late}
