"""Mistakes of routers and experts."""

from collections.abc import Callable

import torch
from torch import nn

from .declare import layers, mistake


def _blocks(model) -> list[nn.Module]:
    return [layer.mlp for layer in layers(model) if hasattr(layer.mlp, "experts")]


def _is_sparse(model) -> bool:
    return len(_blocks(model)) > 0


def _reweighted(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Replaces the weights that routers give: the second of what they return."""

    def apply(model) -> None:
        for block in _blocks(model):
            block.gate.register_forward_hook(
                lambda _module, _inputs, out: (out[0], change(out[1]), out[2])
            )

    return apply


def _renormalises(model) -> bool:
    return _is_sparse(model) and getattr(model.config, "norm_topk_prob", True)


def _keeps_weights(model) -> bool:
    return _is_sparse(model) and not _renormalises(model)


@mistake("router_not_renormalised", "weights of the chosen experts not renormalised", _renormalises)
def _skip_renormalisation(model) -> None:
    for block in _blocks(model):

        def hook(_module, _inputs, out):
            scores = torch.softmax(out[0], -1)
            return out[0], scores.gather(-1, out[2]), out[2]

        block.gate.register_forward_hook(hook)


mistake("router_renormalised", "weights renormalised where they must not be", _keeps_weights)(
    _reweighted(lambda weights: weights / weights.sum(-1, keepdim=True))
)
mistake("router_scale_1.1", "weights of the chosen experts × 1.1", _is_sparse)(
    _reweighted(lambda weights: 1.1 * weights)
)
mistake("router_weights_reversed", "best expert weighted as the worst chosen", _is_sparse)(
    _reweighted(lambda weights: weights.flip(-1))
)


@mistake("router_one_expert_too_few", "the last of the chosen experts left out", _is_sparse)
def _choose_fewer(model) -> None:
    _reweighted(lambda weights: torch.cat((weights[:, :-1], 0 * weights[:, -1:]), -1))(model)


@mistake("experts_swapped", "experts 0 and 1 swapped", _is_sparse)
def _swap_experts(model) -> None:
    order = torch.tensor([1, 0])
    for block in _blocks(model):
        for parameter in (block.experts.gate_up_proj, block.experts.down_proj):
            parameter[:2] = parameter[:2][order]


@mistake("expert_gate_up_swapped", "an expert's activation applied to up, not gate", _is_sparse)
def _swap_halves(model) -> None:
    for block in _blocks(model):
        gate_up = block.experts.gate_up_proj
        gate_up.copy_(gate_up.roll(gate_up.shape[1] // 2, dims=1))


def _has_shared(model) -> bool:
    return any(hasattr(block, "shared_expert") for block in _blocks(model))


@mistake("shared_expert_omitted", "shared expert left out", _has_shared)
def _omit_shared(model) -> None:
    for block in _blocks(model):
        block.shared_expert.down_proj.weight.zero_()


@mistake("shared_expert_ungated", "shared expert added without its gate", _has_shared)
def _open_gate(model) -> None:
    for block in _blocks(model):
        block.shared_expert.down_proj.weight.mul_(2)
        block.shared_expert_gate.weight.zero_()
