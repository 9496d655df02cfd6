"""Texts that each take a path of their own through a demo model's layers.

A path says how often each layer is visited: 0 (skipped), 1 or 2 times in a row. All texts of a batch run
together; a text that does not visit a layer keeps its hidden states, so its bits are those of its path.
Owns the search for a short path that still gives the right answer (as in Dr.LLM, arXiv:2510.12773, by a
greedy descent in place of its tree search).
"""

import copy
from collections.abc import Callable

import torch
from generate import generate_ids
from model import DemoModel, Layer
from planned import with_layers
from taught import Taught
from torch import Tensor

# How much likelier than any other token each token of an answer must be, in logits: a path that is right
# by a hair teaches nothing.
CLEARLY = 1.0


def items_of_tokens(text: Taught) -> Tensor:
    """[tokens] of the batch: which item each belongs to; padding counts to its row's."""
    sizes = [length for _, count, length in text.rows.groups for _ in range(count)]
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def kind(layer: Layer) -> tuple:
    """Equal of layers that do the same."""
    stands_in = id(layer.attention_forecast), id(layer.mlp_forecast)
    return id(layer.self_attn), layer.skips_attention, layer.skips_mlp, stands_in


@torch.inference_mode()
def hidden_by_path(
    model: DemoModel,
    text: Taught,
    visits_of: Callable[[int, Tensor], Tensor],
    begun: dict[tuple, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Hidden states of all positions, and the visits [items, layers] that were made. Before each layer
    `visits_of(layer, hidden)` says how often each item visits it. Calls with the same text that share
    `begun` run the layers once with which they all begin."""
    begun, way = {} if begun is None else begun, ()
    x, owner = model.model.embed_tokens(text.ids), items_of_tokens(text)
    cos, sin = model.cos[text.rows.positions], model.sin[text.rows.positions]
    made = []
    for at, layer in enumerate(model.model.layers):
        visits = visits_of(at, x)
        made.append(visits)
        way = (*way, kind(layer), visits.numpy().tobytes())
        if way in begun:
            x = begun[way]
            continue
        for turn in range(int(visits.max())):
            y = layer.mlp_by_plan(layer.attention_by_plan(x, cos, sin, text.rows))
            x = torch.where((visits > turn)[owner, None], y, x)
        begun[way] = x
    return x, torch.stack(made, 1)


@torch.inference_mode()
def clearly_right(model: DemoModel, text: Taught, visits: Tensor) -> Tensor:
    """[items]: by these paths [items, layers], each token of the answer is clearly the likeliest."""
    hidden, _ = hidden_by_path(model, text, lambda at, _: visits[:, at])
    logits = model.head(hidden[text.predict])
    told = logits.gather(1, text.targets[:, None])[:, 0]
    others = logits.scatter(1, text.targets[:, None], -torch.inf).amax(1)
    wrong = (told - others < CLEARLY).float()
    return torch.zeros(len(text.run)).index_add_(0, text.owner, wrong) == 0


def shortest_paths(
    items: int, order: list[int], most: int, tries: int, judge: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Paths [items, layers] and whether each is right. `judge(which, visits)` says it of those items by
    these paths.

    From the whole model, one layer more is left out at a time, `most` in all: the first in `order` (which
    names all layers), of at most `tries`, without which the answer is still right. An item that the whole
    model gets wrong repeats, if that helps, one layer.
    """
    layers = len(order)
    best = torch.ones(items, layers, dtype=torch.long)
    right = judge(torch.arange(items), best)
    for layer in range(layers):
        which = (~right).nonzero()[:, 0]
        if len(which):
            trial = torch.ones(len(which), layers, dtype=torch.long)
            trial[:, layer] = 2
            helped = judge(which, trial)
            best[which[helped]] = trial[helped]
            right[which[helped]] = True
    open_items = right.clone()
    for _ in range(most):
        waiting = open_items.nonzero()[:, 0]
        tried = torch.zeros(items, dtype=torch.long)
        reached = torch.zeros(items, dtype=torch.bool)
        while len(waiting):
            # Layers in the order that this item still visits once, then none.
            trial = best[waiting]
            left = [[at for at in order if row[at] == 1] for row in trial.tolist()]
            turns = tried[waiting].tolist()
            rank = torch.tensor([row[n] if n < len(row) else -1 for row, n in zip(left, turns)])
            possible = rank >= 0
            waiting, trial, rank = waiting[possible], trial[possible], rank[possible]
            if not len(waiting):
                break
            trial[torch.arange(len(waiting)), rank] = 0
            helped = judge(waiting, trial)
            best[waiting[helped]] = trial[helped]
            reached[waiting[helped]] = True
            tried[waiting] += 1
            waiting = waiting[~helped & (tried[waiting] < tries)]
        open_items &= reached
    return best, right


def mixed(model: DemoModel, visits: Tensor) -> DemoModel:
    """For decoding with a cache: each row of the batch by its own path, visits [B, layers]."""
    layers = []
    for at, layer in enumerate(model.model.layers):
        for turn in range(int(visits[:, at].max())):
            layer = copy.copy(layer)
            layer.only = visits[:, at] > turn
            layers.append(layer)
    return with_layers(model, layers)


def answers(model: DemoModel, prompts: list[list[int]], visits: Tensor) -> list[list[int]]:
    """Greedy answers, each by its own path; batches hold prompts of similar length."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), 100):
        chunk = order[start : start + 100]
        by_path = mixed(model, visits[chunk])
        for index, ids in zip(chunk, generate_ids(by_path, [prompts[i] for i in chunk])):
            found[index] = ids
    return found


def once(model: DemoModel, text: Taught) -> Tensor:
    """Visits [items, layers] of the model as it is."""
    return torch.ones(len(text.run), len(model.model.layers), dtype=torch.long)


def at_random(visits: Tensor) -> Tensor:
    """As many layers skipped and repeated for each item, but any."""
    return torch.stack([row[torch.randperm(len(row))] for row in visits])
