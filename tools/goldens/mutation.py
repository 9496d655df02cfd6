"""What a deliberate mistake is, and how a model is broken by one.

Owns the copy, the patching of the modelling module and its repair. Knows no particular mistake.
"""

import contextlib
import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import torch
from transformers import PreTrainedModel

Patches = dict[str, Callable]


def always(_model: PreTrainedModel) -> bool:
    return True


@dataclasses.dataclass(frozen=True)
class Mutation:
    """`apply` breaks the model and returns functions to patch in its modelling module, if any."""

    name: str
    mistake: str
    apply: Callable[[PreTrainedModel], Patches | None]
    applies: Callable[[PreTrainedModel], bool] = always


def modelling(model: PreTrainedModel) -> ModuleType:
    """transformers' module that defines the model's class, such as modeling_llama."""
    return sys.modules[type(model).__module__]


@contextlib.contextmanager
def mutated(model: PreTrainedModel, mutation: Mutation) -> Iterator[PreTrainedModel]:
    """A broken copy of the model, valid inside the `with` block; the original is untouched."""
    victim = copy.deepcopy(model)
    with torch.no_grad():
        patches = mutation.apply(victim) or {}
    module = modelling(victim)
    originals = {name: getattr(module, name) for name in patches}
    try:
        for name, function in patches.items():
            setattr(module, name, function)
        yield victim
    finally:
        for name, function in originals.items():
            setattr(module, name, function)
