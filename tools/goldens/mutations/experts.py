"""Mistakes of routers and experts."""

from collections.abc import Callable

import torch
from torch import nn

from .declare import layers, mistake


def _blocks(model) -> list[nn.Module]:
    names = ("block_sparse_moe", "feed_forward", "mlp")
    own = [getattr(layer, name, None) for layer in layers(model) for name in names]
    return [block for block in own if hasattr(block, "experts")]


def _router(block: nn.Module) -> nn.Module:
    return block.gate if hasattr(block, "gate") else block.router


def _rerouted(block: nn.Module, change: Callable) -> None:
    """`change(logits, weights, ids)` gives new weights; routers return the three in any order."""

    def hook(_module, _inputs, out):
        ids = next(i for i, part in enumerate(out) if not part.is_floating_point())
        logits = max((i for i in range(3) if i != ids), key=lambda i: out[i].shape[-1])
        weights = 3 - ids - logits
        changed = change(out[logits], out[weights], out[ids])
        return tuple(changed if i == weights else part for i, part in enumerate(out))

    _router(block).register_forward_hook(hook)


def _is_sparse(model) -> bool:
    return len(_blocks(model)) > 0


def _reweighted(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Replaces the weights that routers give: the second of what they return."""

    def apply(model) -> None:
        for block in _blocks(model):
            _rerouted(block, lambda _logits, weights, _ids: change(weights))

    return apply


def _renormalises(model) -> bool:
    return _is_sparse(model) and getattr(model.config, "norm_topk_prob", True)


def _keeps_weights(model) -> bool:
    return _is_sparse(model) and not _renormalises(model)


def _is_sigmoid(model) -> bool:
    return model.config.model_type == "lfm2_moe" or _has_choice_bias(model)


def _scores(model) -> Callable[[torch.Tensor], torch.Tensor]:
    return torch.sigmoid if _is_sigmoid(model) else lambda logits: torch.softmax(logits, -1)


@mistake("router_not_renormalised", "weights of the chosen experts not renormalised", _renormalises)
def _skip_renormalisation(model) -> None:
    for block in _blocks(model):
        scores = _scores(model)
        scale = getattr(_router(block), "routed_scaling_factor", 1.0)
        _rerouted(block, lambda logits, _, ids: scale * scores(logits).gather(-1, ids))


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
        if _alternates(model):
            gate_up.copy_(gate_up.unflatten(-1, (-1, 2)).flip(-1).flatten(-2))
        else:
            gate_up.copy_(gate_up.roll(gate_up.shape[1] // 2, dims=1))


def _alternates(model) -> bool:
    return model.config.model_type == "gpt_oss"


@mistake("expert_gates_first", "alternating gates and values read as halves", _alternates)
def _read_as_halves(model) -> None:
    for block in _blocks(model):
        gate_up = block.experts.gate_up_proj
        gate_up.copy_(gate_up.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2))


@mistake("swiglu_unclamped", "gates and values of experts not clamped", _alternates)
def _raise_limit(model) -> None:
    for block in _blocks(model):
        block.experts.limit = 1e9


@mistake("swiglu_without_one", "values of experts not raised by one", _alternates)
def _omit_one(model) -> None:
    for block in _blocks(model):
        block.experts.gate_up_proj_bias[:, 1::2] -= 1


@mistake("expert_biases_omitted", "biases of experts not added", _alternates)
def _omit_expert_biases(model) -> None:
    for block in _blocks(model):
        block.experts.gate_up_proj_bias.zero_()
        block.experts.down_proj_bias.zero_()


@mistake("router_bias_omitted", "bias of the router not added", _alternates)
def _omit_router_bias(model) -> None:
    for block in _blocks(model):
        block.router.bias.zero_()


@mistake("router_softmax", "softmax of the chosen logits, not sigmoids", _is_sigmoid)
def _take_softmax(model) -> None:
    for block in _blocks(model):
        _rerouted(block, lambda logits, _, ids: torch.softmax(logits.gather(-1, ids), -1))


def _choice_bias(block: nn.Module) -> torch.Tensor | None:
    of_router = getattr(_router(block), "e_score_correction_bias", None)
    return getattr(block, "expert_bias", of_router)


def _has_choice_bias(model) -> bool:
    return any(_choice_bias(block) is not None for block in _blocks(model))


@mistake("choice_bias_omitted", "experts chosen without the bias", _has_choice_bias)
def _omit_choice_bias(model) -> None:
    for block in _blocks(model):
        _choice_bias(block).zero_()


@mistake("choice_bias_in_weights", "weights from scores with the bias", _has_choice_bias)
def _weigh_with_bias(model) -> None:
    def change(bias: torch.Tensor) -> Callable:
        def weights(logits, _weights, ids):
            scores = (logits.sigmoid() + bias).gather(-1, ids)
            return scores / scores.sum(-1, keepdim=True) * model.config.routed_scaling_factor

        return weights

    for block in _blocks(model):
        _rerouted(block, change(_choice_bias(block)))


def _shared_outputs(model) -> list[nn.Module]:
    gated = [block.shared_expert.down_proj for block in _blocks(model) if _has_gate(block)]
    plain = [layer.shared_mlp for layer in layers(model) if hasattr(layer, "shared_mlp")]
    named = [block.shared_experts for block in _blocks(model) if hasattr(block, "shared_experts")]
    outputs = [mlp.output_linear for mlp in plain] + [mlp.down_proj for mlp in named]
    return [*gated, *outputs]


def _has_gate(block: nn.Module) -> bool:
    return hasattr(block, "shared_expert_gate")


def _has_shared(model) -> bool:
    return len(_shared_outputs(model)) > 0


def _has_gated(model) -> bool:
    return any(_has_gate(block) for block in _blocks(model))


@mistake("shared_expert_omitted", "shared expert left out", _has_shared)
def _omit_shared(model) -> None:
    for projection in _shared_outputs(model):
        projection.weight.zero_()


@mistake("shared_expert_ungated", "shared expert added without its gate", _has_gated)
def _open_gate(model) -> None:
    for block in _blocks(model):
        block.shared_expert.down_proj.weight.mul_(2)
        block.shared_expert_gate.weight.zero_()


def _replace_forward(router: nn.Module, forward: Callable) -> None:
    """`forward(logits)` gives weights and ids."""

    def replaced(hidden):
        logits = torch.nn.functional.linear(hidden.flatten(0, -2), router.weight)
        return logits, *forward(logits)

    router.forward = replaced


def _is_scaled(model) -> bool:
    return any(getattr(_router(b), "routed_scaling_factor", 1.0) != 1.0 for b in _blocks(model))


@mistake("routed_scale_omitted", "weights of the chosen experts not scaled", _is_scaled)
def _omit_routed_scale(model) -> None:
    for block in _blocks(model):
        block.gate.routed_scaling_factor = 1.0


def _has_unscaled_shared(model) -> bool:
    return _is_scaled(model) and all(hasattr(block, "shared_experts") for block in _blocks(model))


@mistake("shared_expert_scaled", "the shared expert scaled as the others", _has_unscaled_shared)
def _scale_shared(model) -> None:
    for block in _blocks(model):
        block.shared_experts.down_proj.weight.mul_(block.gate.routed_scaling_factor)


def _has_groups(model) -> bool:
    return any((getattr(_router(block), "num_group", None) or 1) > 1 for block in _blocks(model))


@mistake("groups_ignored", "experts of all groups chosen", _has_groups)
def _ignore_groups(model) -> None:
    for block in _blocks(model):
        block.gate.topk_group = block.gate.num_group


def _rechosen(model, group_scores: Callable, losing: float = float("-inf")) -> None:
    """Routers that rank groups by `group_scores([T,groups,experts])`, as far as both kinds agree."""
    for block in _blocks(model):

        def forward(logits, gate=block.gate):
            biased = hasattr(gate, "e_score_correction_bias")
            scores = logits.sigmoid() if biased else logits.softmax(-1)
            ranked = scores + gate.e_score_correction_bias if biased else scores
            groups = ranked.unflatten(-1, (gate.num_group, -1))
            kept = group_scores(groups).topk(gate.topk_group, -1)[1]
            lost = torch.ones_like(groups[..., 0]).scatter(-1, kept, 0).bool()
            ids = groups.masked_fill(lost[..., None], losing).flatten(-2).topk(gate.top_k, -1)[1]
            weights = scores.gather(-1, ids)
            if biased:
                weights = weights / weights.sum(-1, keepdim=True)
            return weights * gate.routed_scaling_factor, ids

        _replace_forward(block.gate, forward)


def _best(groups: torch.Tensor) -> torch.Tensor:
    return groups.amax(-1)


def _two_best(groups: torch.Tensor) -> torch.Tensor:
    return groups.topk(2, -1)[0].sum(-1)


@mistake("group_score", "groups ranked by their two best, not their best, or the reverse", _has_groups)
def _rank_groups_otherwise(model) -> None:
    _rechosen(model, _best if _has_choice_bias(model) else _two_best)


def _chooses_below_zero(model) -> bool:
    biases = [_choice_bias(block) for block in _blocks(model)]
    return max(float(bias.max()) for bias in biases) < -1


@mistake(
    "losing_groups_zero",
    "experts of losing groups at 0, not -inf",
    lambda model: _has_groups(model) and _has_choice_bias(model) and _chooses_below_zero(model),
)
def _lose_at_zero(model) -> None:
    _rechosen(model, _two_best, losing=0.0)
