"""Runs transformers by a layer plan: its list of layers edited, its arithmetic its own.

Owns what a plan says (docs/goldens.md), the edited copy of a model, and the mistakes one could make
in reading a plan. A pass is one visit to a layer; a skipped sublayer is a module that adds nothing.
"""

import copy
import dataclasses
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from transformers import PreTrainedModel

from float64 import Float64, load, logits_float64
from golden import Golden


@dataclasses.dataclass(frozen=True)
class LayerPlan:
    """Layers by number from 0; `skip` is both sublayers, `repeat` the whole layer twice in a row."""

    name: str
    skip: tuple[int, ...] = ()
    skipAttention: tuple[int, ...] = ()
    skipMlp: tuple[int, ...] = ()
    repeat: tuple[int, ...] = ()

    def json(self) -> dict[str, list[int]]:
        """As users write it: without what is empty."""
        fields = dataclasses.asdict(self)
        del fields["name"]
        return {key: list(layers) for key, layers in fields.items() if layers}


def plans_of(layers: int) -> tuple[LayerPlan, ...]:
    """For a model of four layers or more: each end, each sublayer, each way to repeat."""
    last = layers - 1
    return (
        LayerPlan("all"),
        LayerPlan("skip-layer", skip=(2,)),
        LayerPlan("skip-first", skip=(0,)),
        LayerPlan("skip-last", skip=(last,)),
        LayerPlan("skip-attention", skipAttention=(1,)),
        LayerPlan("skip-mlp", skipMlp=(last - 1,)),
        LayerPlan("skip-last-mlp", skipMlp=(last,)),
        LayerPlan("skip-mixed", skip=(1,), skipAttention=(2, last), skipMlp=(0,)),
        LayerPlan("repeat-layer", repeat=(last - 1,)),
        LayerPlan("repeat-and-skip", repeat=(1, 2), skip=(last,)),
    )


@dataclasses.dataclass(frozen=True)
class Pass:
    layer: int
    attention: bool = True
    mlp: bool = True
    # A mistake: keys and values are those of the layer's pass before.
    stale_keys: bool = False


def passes(plan: LayerPlan, layers: int) -> list[Pass]:
    """In the order in which they run."""
    run = []
    for layer in range(layers):
        if layer not in plan.skip:
            one = Pass(layer, layer not in plan.skipAttention, layer not in plan.skipMlp)
            run += [one] * (2 if layer in plan.repeat else 1)
    return run


class NoAttention(nn.Module):
    def forward(self, hidden_states: torch.Tensor, **_):
        return torch.zeros_like(hidden_states), None


class NoMlp(nn.Module):
    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(hidden_states)


class Recorded(nn.Module):
    """A projection, and beside it one that answers what it answered last."""

    def __init__(self, projection: nn.Module):
        super().__init__()
        self.projection = projection
        self.answer = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.answer = self.projection(x)
        return self.answer

    def again(self) -> nn.Module:
        stale = nn.Module()
        stale.forward = lambda _: self.answer
        return stale


def edited(model: PreTrainedModel, run: list[Pass]) -> PreTrainedModel:
    """A copy of the model whose list of layers is `run`; the original is untouched."""
    model = copy.deepcopy(model)
    layers = [copy.deepcopy(model.model.layers[one.layer]) for one in run]
    for at, (layer, one) in enumerate(zip(layers, run)):
        layer.self_attn.layer_idx = at
        if one.stale_keys:
            for name in ("k_proj", "v_proj"):
                before = Recorded(getattr(layers[at - 1].self_attn, name))
                setattr(layers[at - 1].self_attn, name, before)
                setattr(layer.self_attn, name, before.again())
        if not one.attention:
            layer.self_attn = NoAttention()
        if not one.mlp:
            layer.mlp = NoMlp()
    types = getattr(model.config, "layer_types", None)
    if types:
        model.config.layer_types = [types[one.layer] for one in run]
    model.config.num_hidden_layers = len(run)
    model.model.layers = nn.ModuleList(layers)
    return model


def planned(golden: Golden, plan: LayerPlan) -> Golden:
    """The golden of the same model and prompts by a plan. Its model is a copy."""
    layers = golden.model.config.num_hidden_layers
    with Float64(strict=False), torch.no_grad():
        model = edited(golden.model, passes(plan, layers))
    logits = [logits_float64(model, ids) for ids in golden.prompts]
    return dataclasses.replace(golden, model=model, logits=logits)


def logits_as_stored(golden: Golden, plan: LayerPlan, dtype: torch.dtype) -> list[torch.Tensor]:
    """transformers as people run it, by the plan, in weights and activations of `dtype`."""
    whole = load(golden.folder, dtype)
    model = edited(whole, passes(plan, whole.config.num_hidden_layers))
    with torch.no_grad():
        return [model(torch.tensor([ids]), use_cache=False).logits[0] for ids in golden.prompts]


def router_gap(golden: Golden) -> float | None:
    """Least difference between the logits of the last expert chosen and the first one not chosen,
    over all tokens of all prompts and all routers; None of a dense model."""
    gaps = []

    def look(router: nn.Module, _inputs, outputs) -> None:
        best = outputs[0].topk(router.top_k + 1).values
        gaps.append(float((best[:, -2] - best[:, -1]).min()))

    routers = [m for m in golden.model.modules() if hasattr(m, "top_k") and hasattr(m, "weight")]
    hooks = [router.register_forward_hook(look) for router in routers]
    for ids in golden.prompts:
        logits_float64(golden.model, ids)
    for hook in hooks:
        hook.remove()
    return min(gaps, default=None)


# By name: what is done wrong, and the passes that run then.
Mistake = tuple[str, Callable[[LayerPlan, int], list[Pass]]]


def _counted_from_one(plan: LayerPlan, layers: int) -> list[Pass]:
    moved = {k: tuple((at - 1) % layers for at in v) for k, v in plan.json().items()}
    return passes(LayerPlan(plan.name, **moved), layers)


def _of_skipped(attention: bool, mlp: bool) -> Callable[[LayerPlan, int], list[Pass]]:
    def run(plan: LayerPlan, layers: int) -> list[Pass]:
        others = dataclasses.replace(plan, skip=())
        return [
            Pass(one.layer, attention, mlp) if one.layer in plan.skip else one
            for one in passes(others, layers)
        ]

    return run


def _as(change: Callable[[LayerPlan], dict]) -> Callable[[LayerPlan, int], list[Pass]]:
    return lambda plan, layers: passes(dataclasses.replace(plan, **change(plan)), layers)


def _again_at_the_end(plan: LayerPlan, layers: int) -> list[Pass]:
    once = passes(dataclasses.replace(plan, repeat=()), layers)
    return once + [one for one in once if one.layer in plan.repeat]


def _neighbours_in_turn(plan: LayerPlan, layers: int) -> list[Pass]:
    run = passes(plan, layers)
    for at in range(len(run) - 3):
        a, b, c, d = (one.layer for one in run[at : at + 4])
        if a == b and c == d:
            run[at + 1], run[at + 2] = run[at + 2], run[at + 1]
    return run


def _stale_keys(plan: LayerPlan, layers: int) -> list[Pass]:
    run = passes(plan, layers)
    return run[:1] + [
        dataclasses.replace(b, stale_keys=a.layer == b.layer and b.attention)
        for a, b in pairwise(run)
    ]


MISTAKES: dict[str, Mistake] = {
    "plan-ignored": ("the plan ignored", _as(lambda p: dict.fromkeys(p.json(), ()))),
    "plan-from-one": ("layers counted from 1", _counted_from_one),
    "plan-skip-attention-only": ("a skipped layer keeps its MLP", _of_skipped(False, True)),
    "plan-skip-mlp-only": ("a skipped layer keeps its attention", _of_skipped(True, False)),
    "plan-sublayers-swapped": (
        "attention skipped where the MLP is to be, and the reverse",
        _as(lambda p: {"skipAttention": p.skipMlp, "skipMlp": p.skipAttention}),
    ),
    "plan-whole-layer": (
        "the whole layer skipped where one sublayer is to be",
        _as(lambda p: {"skip": p.skip + p.skipAttention + p.skipMlp}),
    ),
    "plan-repeat-once": ("a repeated layer runs once", _as(lambda p: {"repeat": ()})),
    "plan-repeat-last": ("a repeated layer runs again after all others", _again_at_the_end),
    "plan-repeat-in-turn": ("two repeated neighbours run in turn", _neighbours_in_turn),
    "plan-repeat-keys": ("a second pass attends to the keys and values of the first", _stale_keys),
}


def mistaken(golden: Golden, plan: LayerPlan, by_plan: Golden) -> dict[str, tuple[float, float]]:
    """How far each mistake moves the logits of the plan, in their standard deviations."""
    layers = golden.model.config.num_hidden_layers
    right = passes(plan, layers)
    table = {}
    for name, (_, wrong) in MISTAKES.items():
        run = wrong(plan, layers)
        if run != right:
            model = edited(golden.model, run)
            logits = [logits_float64(model, ids) for ids in golden.prompts]
            table[name] = by_plan.difference(logits)
    return table
