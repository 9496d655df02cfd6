"""Accuracy per task on held-out items, greedy, with 95 % Wilson intervals.

Every second item asks for an answer without thinking.
Usage: python evaluate.py FOLDER [--items 1000] [--json FILE] [--wrong N]
"""

import argparse
import json
import math
from collections import defaultdict
from itertools import islice
from pathlib import Path

import torch
from chat import prompt_text, without_thinking
from generate import generate_texts
from grammar import items
from model import DemoModel
from tasks import TASKS
from tokenizer import load
from tokenizers import Tokenizer
from weights import load_checkpoint, load_folder

HELD_OUT_SEED = 20_000


def wilson(right: int, total: int) -> tuple[float, float]:
    z = 1.96
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return middle - half, middle + half


def measure(model: DemoModel, tokenizer: Tokenizer, task: str, count: int, wrong: int) -> list:
    """Rows of (name, right, total): the task, then its parts."""
    exercises = list(islice(items(task, HELD_OUT_SEED, held_out=True), count))
    thinking = [at % 2 == 0 for at in range(count)]
    prompts = [prompt_text(item, think) for item, think in zip(exercises, thinking)]
    texts = generate_texts(model, tokenizer, prompts)
    parts: dict[str, list[bool]] = defaultdict(list)
    for item, think, text in zip(exercises, thinking, texts):
        right = TASKS[task].check(item.check, without_thinking(text))
        if item.think:
            item.tags.append("thinking" if think else "direct")
        for name in [task, *(f"{task}: {tag}" for tag in item.tags)]:
            parts[name].append(right)
        if not right and wrong > 0:
            wrong -= 1
            print(f"wrong {task}: {item.messages[-1]['content']!r}\n  {text!r}\n  {item.answer!r}")
    return [(name, sum(marks), len(marks)) for name, marks in parts.items()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--checkpoint", type=Path, help="weights of a training run instead")
    parser.add_argument("--average", action="store_true", help="its moving average")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--wrong", type=int, default=0, help="wrong answers to print per task")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if args.checkpoint:
        model = load_checkpoint(args.checkpoint, args.average)
    else:
        model = load_folder(args.folder)
    tokenizer = load(args.folder)
    report = []
    print("| held-out items | right | of | accuracy | 95 % interval |\n|---|---|---|---|---|")
    for task in TASKS:
        for name, right, total in measure(model, tokenizer, task, args.items, args.wrong):
            low, high = wilson(right, total)
            print(f"| {name} | {right} | {total} | {right / total:.1%} | {low:.1%} to {high:.1%} |",
                  flush=True)  # fmt: skip
            report.append({"name": name, "right": right, "total": total,
                           "accuracy": right / total, "low": low, "high": high})  # fmt: skip
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"model": str(args.folder), "seed": HELD_OUT_SEED, "tasks": report}
        args.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
