"""A demo model that runs by a layer plan: some sublayers skipped, some layers twice in a row.

Owns the plan as the engine reads it. A sublayer has a number: 2 · layer for its attention, one more
for its MLP.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from model import DemoModel, Forecast, Layer
from moe import SparseMLP
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerPlan:
    skip_attention: frozenset[int] = frozenset()
    skip_mlp: frozenset[int] = frozenset()
    repeat: frozenset[int] = frozenset()

    @staticmethod
    def without(sublayers: Iterable[int]) -> "LayerPlan":
        attention = frozenset(s // 2 for s in sublayers if s % 2 == 0)
        return LayerPlan(attention, frozenset(s // 2 for s in sublayers if s % 2 == 1))

    @staticmethod
    def parse(text: str) -> "LayerPlan":
        """The plan of its JSON."""
        lists = {key: frozenset(layers) for key, layers in json.loads(text).items()}
        unknown = lists.keys() - {"skip", "skipAttention", "skipMlp", "repeat"}
        if unknown:
            raise ValueError(f"a layer plan has no {', '.join(sorted(unknown))}")
        skip, none = lists.get("skip", frozenset()), frozenset()
        attention, mlp = lists.get("skipAttention", none), lists.get("skipMlp", none)
        return LayerPlan(skip | attention, skip | mlp, lists.get("repeat", none))

    def skipped(self) -> list[int]:
        """Sublayers by number."""
        return sorted([2 * at for at in self.skip_attention] + [2 * at + 1 for at in self.skip_mlp])

    @property
    def skip(self) -> frozenset[int]:
        """Layers of which nothing runs."""
        return self.skip_attention & self.skip_mlp

    def executed(self, layers: int) -> int:
        """Sublayers that run, those of repeated layers twice."""
        once = 2 * layers - len(self.skip_attention) - len(self.skip_mlp)
        again = 2 * len(self.repeat)
        return (
            once + again - len(self.repeat & self.skip_attention) - len(self.repeat & self.skip_mlp)
        )

    def plain(self) -> dict[str, list[int]]:
        """The plan's JSON, without what is empty."""
        lists = {
            "skip": self.skip,
            "skipAttention": self.skip_attention - self.skip,
            "skipMlp": self.skip_mlp - self.skip,
            "repeat": self.repeat,
        }
        return {key: sorted(layers) for key, layers in lists.items() if layers}


def planned(
    model: DemoModel, plan: LayerPlan, forecasts: Mapping[int, Forecast] = {}
) -> DemoModel:
    """Shares its weights with the model, which stays as it is. `forecasts` stand in for skipped
    sublayers, by number."""
    layers = []
    for at, layer in enumerate(model.model.layers):
        if at not in plan.skip or {2 * at, 2 * at + 1} & forecasts.keys():
            layer = copy.copy(layer)
            layer.skips_attention = at in plan.skip_attention
            layer.skips_mlp = at in plan.skip_mlp
            layer.attention_forecast = forecasts.get(2 * at)
            layer.mlp_forecast = forecasts.get(2 * at + 1)
            layers += [layer] * (2 if at in plan.repeat else 1)
    return with_layers(model, layers)


def weights_read(layer: Layer) -> int:
    """How many weights decoding one token alone reads of the layer, as it is planned: of a sparse MLP,
    the router and the experts chosen; of a forecast, its matrices and the norm before them."""

    def read(skipped: bool, forecast: Forecast | None, norm: nn.Module, own: list[Tensor]) -> int:
        matrices = (forecast or ()) if skipped else own
        return sum(map(Tensor.numel, (*matrices, norm.weight))) if len(matrices) else 0

    mlp, attention = layer.mlp, list(layer.self_attn.parameters())
    if isinstance(mlp, SparseMLP):
        wide = [mlp.gate.weight, *(stack[: mlp.top] for stack in mlp.experts.parameters())]
    else:
        wide = list(mlp.parameters())
    return read(
        layer.skips_attention, layer.attention_forecast, layer.input_layernorm, attention
    ) + read(layer.skips_mlp, layer.mlp_forecast, layer.post_attention_layernorm, wide)


def with_layers(model: DemoModel, layers: list[Layer]) -> DemoModel:
    edited = DemoModel(replace(model.config, num_hidden_layers=len(layers)))
    edited.model.embed_tokens = model.model.embed_tokens
    edited.model.norm = model.model.norm
    edited.model.layers = nn.ModuleList(layers)
    return edited
