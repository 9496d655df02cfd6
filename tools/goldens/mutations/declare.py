"""How the files of this folder declare a mistake: `MUTATIONS` holds them in the order of declaration."""

from collections.abc import Callable

from mutation import Mutation, always
from torch import nn
from transformers import PreTrainedModel

Test = Callable[[PreTrainedModel], bool]

MUTATIONS: list[Mutation] = []


def mistake(name: str, text: str, when: Test = always):
    def declare(apply: Callable):
        MUTATIONS.append(Mutation(name, text, apply, when))
        return apply

    return declare


def layers(model) -> list[nn.Module]:
    return list(model.model.layers)


def attentions(model) -> list[nn.Module]:
    """Some layers of some families have none."""
    return [layer.self_attn for layer in layers(model) if hasattr(layer, "self_attn")]
