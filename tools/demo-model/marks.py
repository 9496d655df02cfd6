"""Which held-out items a demo model answers rightly, by a layer plan or by a path for each.

Every mark is that of greedy decoding. Where each token of the expected answer is the likeliest after
those before, decoding gives that answer: such items are right without it. All others are decoded and
judged by their task, as JSON may be right in another order and a sum after other thoughts; so are
stories, of which no one is expected.
"""

from itertools import islice
from pathlib import Path

import torch
from chat import without_thinking
from grammar import items
from model import DemoModel
from paths import answers, hidden_by_path
from taught import RUNS, Taught, batch, both, log_probabilities, padded, pieces, right
from tasks import TASKS
from tokenizer import load
from torch import Tensor


def exercises(folder: Path, run: int, count: int, seed: int, held_out: bool = True) -> Taught:
    """Items of one of RUNS, shortest first. Those of evaluate.py's seed docs/demo-model.md measures."""
    tokenizer, (task, thinking) = load(folder), RUNS[run]
    found = list(islice(items(task, seed, held_out), count))
    texts = [(both(tokenizer, item, thinking), item) for item in found]
    texts.sort(key=lambda one: padded(one[0]))
    return batch([one for one, _ in texts], [run] * count, [item for _, item in texts])


@torch.inference_mode()
def marks(folder: Path, text: Taught, ways: list[tuple[DemoModel, Tensor]]) -> list[Tensor]:
    """[items] of each way: whether the item is answered rightly. A way is a model and each item's path
    through its layers, visits [items, layers]. All items are of one of RUNS."""
    marked = [torch.zeros(len(text.run), dtype=torch.bool) for _ in ways]
    # No story is the expected one.
    for piece in pieces(text, list(range(len(text.run)))) if task_of(text) != "story" else []:
        part, begun = text.some(piece), {}
        for found, (model, visits) in zip(marked, ways):
            mine = visits[piece]
            hidden, _ = hidden_by_path(model, part, lambda at, _: mine[:, at], begun)
            found[piece] = right(log_probabilities(model, hidden, part), part)
    for found, (model, visits) in zip(marked, ways):
        wrong = (~found).nonzero()[:, 0].tolist()
        found[wrong] = decoded(folder, model, text, visits, wrong)
    return marked


def task_of(text: Taught) -> str:
    return RUNS[text.run[0]][0]


def decoded(
    folder: Path, model: DemoModel, text: Taught, visits: Tensor, which: list[int]
) -> Tensor:
    """Of these items, whether their task calls the greedy answer right."""
    tokenizer, check = load(folder), TASKS[task_of(text)].check
    found = answers(model, [text.texts[item][0] for item in which], visits[which])
    said = [without_thinking(tokenizer.decode(ids, skip_special_tokens=False)) for ids in found]
    checked = [check(text.items[item].check, one) for item, one in zip(which, said, strict=True)]
    return torch.tensor(checked, dtype=torch.bool)
