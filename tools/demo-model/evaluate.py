"""Accuracy per task on held-out items, greedy, with 95 % Wilson intervals.

Items are asked as the chat template asks by default, where the model thinks before arithmetic.
Arithmetic is measured a second time with `enable_thinking` false.
Usage: python evaluate.py FOLDER [--items 1000] [--json FILE] [--document FILE] [--wrong N]
"""

import argparse
import json
import math
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import torch
from chat import prompt_text, without_thinking
from generate import generate_texts
from grammar import items
from tasks import TASKS
from tokenizer import load
from weights import load_checkpoint, load_folder

HELD_OUT_SEED = 20_000


def wilson(right: int, total: int) -> tuple[float, float]:
    z = 1.96
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return middle - half, middle + half


@dataclass
class Measure:
    """Accuracy of one task, or of one part of it."""

    name: str
    right: int
    total: int

    def row(self) -> str:
        low, high = wilson(self.right, self.total)
        share = self.right / self.total
        return f"| {self.name} | {self.right} of {self.total} | {share:.1%} | {low:.1%} to {high:.1%} |"

    def plain(self) -> dict:
        low, high = wilson(self.right, self.total)
        return asdict(self) | {"accuracy": self.right / self.total, "low": low, "high": high}


def measure(args: argparse.Namespace, task: str, thinking: bool) -> tuple[list[Measure], list[str]]:
    """The task as a whole, then its parts; and the first wrong answers, to look at."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if args.checkpoint:
        model = load_checkpoint(args.checkpoint, args.average)
    else:
        model = load_folder(args.folder)
    exercises = list(islice(items(task, HELD_OUT_SEED, held_out=True), args.items))
    prompts = [prompt_text(item, thinking) for item in exercises]
    texts = generate_texts(model, load(args.folder), prompts)
    title = task if thinking else f"{task}, without thinking"
    parts: dict[str, list[bool]] = defaultdict(list)
    wrong = []
    for item, text in zip(exercises, texts, strict=True):
        right = TASKS[task].check(item.check, without_thinking(text))
        for name in [title, *(f"{title}: {tag}" for tag in item.tags)]:
            parts[name].append(right)
        if not right:
            wrong.append(f"wrong {title}: {item.messages[-1]['content']!r}\n  {text!r}\n  {item.answer!r}")
    measures = [Measure(name, sum(marks), len(marks)) for name, marks in parts.items()]
    return measures, wrong[: args.wrong]


def replace_between(document: Path, mark: str, folder: Path, table: str) -> None:
    """Put the table between the document's two marks of that name and model."""
    start, end = f"<!-- {mark} {folder.resolve().name} -->\n", f"<!-- /{mark} -->"
    before, rest = document.read_text().split(start)
    document.write_text(before + start + table + "\n" + end + rest.split(end, 1)[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--checkpoint", type=Path, help="weights of a training run instead")
    parser.add_argument("--average", action="store_true", help="its moving average")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--document", type=Path, help="whose table of accuracies is replaced")
    parser.add_argument("--wrong", type=int, default=0, help="wrong answers to print per task")
    args = parser.parse_args()
    table = ["| held-out items | right | accuracy | 95 % interval |", "|---|---|---|---|"]
    print("\n".join(table))
    report = []
    runs = [*((task, True) for task in TASKS), ("arithmetic", False)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for measures, wrong in pool.map(partial(measure, args), *zip(*runs)):
            print("\n".join([*(part.row() for part in measures), *wrong]), flush=True)
            table += [part.row() for part in measures]
            report += [part.plain() for part in measures]
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        model = f"assets/{args.folder.resolve().name}"
        content = {"model": model, "seed": HELD_OUT_SEED, "measures": report}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    if args.document:
        replace_between(args.document, "accuracy", args.folder, "\n".join(table))


if __name__ == "__main__":
    main()
