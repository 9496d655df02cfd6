"""How often each expert of a sparse model is chosen, per layer and task.

Counted over prompts and expected answers of held-out items. Nothing but the table is written.
Usage: python expert_use.py FOLDER [--items 100] [--document FILE]
"""

import argparse
from itertools import islice
from pathlib import Path

import torch
from chat import answer_text, prompt_text
from evaluate import HELD_OUT_SEED, replace_between
from grammar import items
from model import DemoModel, Rows
from tasks import TASKS
from tokenizer import load
from torch import Tensor
from weights import load_folder


@torch.inference_mode()
def shares(model: DemoModel, texts: list[list[int]]) -> Tensor:
    """[layers, experts]: of all choices made in a layer, the share that fell on each expert."""
    mlps = [layer.mlp for layer in model.model.layers]
    counts = torch.zeros(len(mlps), model.config.num_experts)
    for ids in texts:
        rows = Rows([(0, 1, len(ids))], torch.arange(len(ids)))
        model.forward_rows(torch.tensor(ids), rows, [True] * (2 * len(mlps)))
        for count, mlp in zip(counts, mlps):
            chosen = mlp.logits.topk(mlp.top).indices.flatten()
            count += chosen.bincount(minlength=len(count))
    return counts / counts.sum(1, keepdim=True)


def cell(row: Tensor) -> str:
    return " ".join(f"{100 * share:.0f}" for share in row)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--items", type=int, default=100, help="per task")
    parser.add_argument("--document", type=Path, help="whose table of experts is replaced")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_folder(args.folder), load(args.folder)
    columns = []
    for task in TASKS:
        exercises = islice(items(task, HELD_OUT_SEED, held_out=True), args.items)
        texts = [prompt_text(item, True) + answer_text(item, True) for item in exercises]
        columns.append(shares(model, [encoded.ids for encoded in tokenizer.encode_batch(texts)]))
    columns.append(torch.stack(columns).mean(0))
    table = [f"| layer | {' | '.join(TASKS)} | mean |", "|---" * (len(columns) + 1) + "|"]
    for layer, rows in enumerate(zip(*columns)):
        table.append(f"| {layer} | {' | '.join(map(cell, rows))} |")
    print("\n".join(table))
    if args.document:
        replace_between(args.document, "experts", args.folder, "\n".join(table))


if __name__ == "__main__":
    main()
