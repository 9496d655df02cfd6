"""Texts with their expected answers, and what a model makes of them when the answer is fed to it.

Owns the batch and two measures: the divergence from the whole model, and which answers come out right.
Where an answer must equal the expected one, greedy decoding gives it exactly if each of its tokens is
the likeliest after those before: no decoding is needed.
"""

from dataclasses import dataclass
from itertools import islice

import torch
from chat import answer_text, prompt_text
from grammar import items
from item import Item
from model import DemoModel, Rows
from tasks import TASKS
from tokenizer import END_OF_TEXT, load
from torch import Tensor

ROW_STEP = 8
TOKENS_AT_ONCE = 16_384
# Each task as the template asks it; arithmetic also without thinking.
RUNS = [*((task, True) for task in TASKS), ("arithmetic", False)]


def title(task: str, thinking: bool) -> str:
    return task if thinking else f"{task}, without thinking"


@dataclass
class Taught:
    """`predict` are the positions before each answer's tokens, `targets` these, `owner` their item."""

    ids: Tensor
    rows: Rows
    predict: Tensor
    targets: Tensor
    owner: Tensor
    run: list[int]  # of each item, its place in RUNS
    texts: list[tuple[list[int], list[int]]]  # prompt and answer of each item
    items: list[Item]

    def some(self, which: list[int]) -> "Taught":
        """These items, in the order given, which must be that of the batch."""
        parts = (self.texts, self.run, self.items)
        return batch(*([part[i] for i in which] for part in parts))


def taught(folder, seed: int, per_run: int, held_out: bool) -> Taught:
    tokenizer, found = load(folder), []
    for at, (task, thinking) in enumerate(RUNS):
        for item in islice(items(task, seed, held_out), per_run):
            found.append((both(tokenizer, item, thinking), at, item))
    found.sort(key=lambda one: padded(one[0]))
    return batch(*map(list, zip(*found)))


def both(tokenizer, item: Item, thinking: bool) -> tuple[list[int], list[int]]:
    prompt = tokenizer.encode(prompt_text(item, thinking)).ids
    return prompt, tokenizer.encode(answer_text(item, thinking) + "<|im_end|>").ids


def padded(text: tuple[list[int], list[int]]) -> int:
    return -(-sum(map(len, text)) // ROW_STEP) * ROW_STEP


def batch(texts: list[tuple[list[int], list[int]]], run: list[int], items: list[Item]) -> Taught:
    """Texts in the order of their padded length."""
    total = sum(map(padded, texts))
    ids, positions = torch.full((total,), END_OF_TEXT), torch.zeros(total, dtype=torch.long)
    groups, predict, owner, start = [], [], [], 0
    for at, (prompt, answer) in enumerate(texts):
        length, size = padded((prompt, answer)), len(prompt) + len(answer)
        ids[start : start + size] = torch.tensor(prompt + answer)
        positions[start : start + length] = torch.arange(length)
        if groups and groups[-1][2] == length:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1, length)
        else:
            groups.append((start, 1, length))
        predict += range(start + len(prompt) - 1, start + size - 1)
        owner += [at] * len(answer)
        start += length
    index = torch.tensor(predict)
    rows = Rows(groups, positions)
    return Taught(ids, rows, index, ids[index + 1], torch.tensor(owner), run, texts, items)


def pieces(text: Taught, which: list[int]) -> list[list[int]]:
    """Items cut into lists of about TOKENS_AT_ONCE."""
    cut, tokens = [[]], 0
    for item in which:
        size = padded(text.texts[item])
        if tokens + size > TOKENS_AT_ONCE and cut[-1]:
            cut.append([])
            tokens = 0
        cut[-1].append(item)
        tokens += size
    return cut


def by_item(values: Tensor, text: Taught) -> Tensor:
    """Mean over the tokens of each item's answer."""
    total = torch.zeros(len(text.run)).index_add_(0, text.owner, values)
    return total / text.owner.bincount(minlength=len(text.run))


def by_run(values: Tensor, text: Taught) -> Tensor:
    """Mean over the items of each of RUNS."""
    run = torch.tensor(text.run)
    total = torch.zeros(len(RUNS)).index_add_(0, run, values.float())
    return total / run.bincount(minlength=len(RUNS))


def log_probabilities(model: DemoModel, hidden: Tensor, text: Taught) -> Tensor:
    """Before each token of the answers, [tokens, vocab], from hidden states of all positions."""
    return model.head(hidden[text.predict]).log_softmax(-1)


def divergence(whole: Tensor, other: Tensor, text: Taught) -> Tensor:
    """KL(whole ‖ other) of each of RUNS, per token of the answer."""
    return by_run(by_item((whole.exp() * (whole - other)).sum(-1), text), text)


def right(other: Tensor, text: Taught) -> Tensor:
    """Of each item, whether greedy decoding gives the expected answer to its end."""
    return by_item((other.argmax(-1) == text.targets).float(), text) == 1
