"""Static layer plans of a demo model: found by greedy removal, measured on the tasks.

A plan is grown by one sublayer at a time: the one without which the model, on answers of its training
tasks, stays nearest to the whole model (KL, mean over tasks). Nothing that is measured on held-out
items was used to find a plan.
Usage: python layer_plans.py FOLDER [--items 200] [--removed 3,4,5,6] [--json FILE]
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import torch
from chat import prompt_text, without_thinking
from evaluate import HELD_OUT_SEED, wilson
from generate import generate_texts
from grammar import items
from model import DemoModel, attend_rows
from planned import LayerPlan, planned
from taught import RUNS, Taught, divergence, log_probabilities, right, taught, by_run, title
from tasks import TASKS
from tokenizer import load
from torch import Tensor
from weights import load_folder

CALIBRATION_SEED = 30_000


def add_sublayer(model: DemoModel, x: Tensor, sublayer: int, text: Taught) -> Tensor:
    layer = model.model.layers[sublayer // 2]
    if sublayer % 2:
        return layer.add_mlp(x)
    cos, sin = model.cos[text.rows.positions], model.sin[text.rows.positions]
    return layer.add_attention(x, attend_rows(*layer.heads(x, cos, sin), text.rows))


def normalised(model: DemoModel, x: Tensor, sublayer: int) -> Tensor:
    """What the sublayer reads of x."""
    layer = model.model.layers[sublayer // 2]
    return layer.mlp_input(x) if sublayer % 2 else layer.attention_input(x)


@dataclass
class Found:
    """A plan without the sublayers `removed`, its divergence and exact answers by run on the texts."""

    removed: list[int]
    kl: list[float]
    exact: list[float]

    @property
    def mean_kl(self) -> float:
        return sum(self.kl) / len(self.kl)


def sublayers(model: DemoModel) -> list[list[int]]:
    return [[at] for at in range(2 * len(model.model.layers))]


def whole_layers(model: DemoModel) -> list[list[int]]:
    return [[2 * at, 2 * at + 1] for at in range(len(model.model.layers))]


@torch.inference_mode()
def greedy(model: DemoModel, text: Taught, most: int, units: list[list[int]]) -> list[Found]:
    """Plans without 0, 1, … `most` of the units, lists of sublayers: each the one before without one
    unit more."""
    found: list[Found] = []
    whole = None
    for removals in range(most + 1):
        before, x = [], model.model.embed_tokens(text.ids)
        for unit in units:
            before.append(x)
            x = run(model, x, unit, text)
        trials = []
        for at, unit in enumerate(units) if removals else [(len(units), [])]:
            y = before[at] if removals else x
            for other in units[at + 1 :]:
                y = run(model, y, other, text)
            told = log_probabilities(model, y, text)
            whole = told if whole is None else whole
            removed = [*found[-1].removed, *unit] if found else []
            kl, exact = divergence(whole, told, text), by_run(right(told, text), text)
            trials.append((Found(removed, kl.tolist(), exact.tolist()), unit))
        best, gone = min(trials, key=lambda trial: trial[0].mean_kl)
        found.append(best)
        units = [unit for unit in units if unit is not gone]
        exact = " ".join(f"{share:.3f}" for share in best.exact)
        print(f"without {best.removed}: KL {best.mean_kl:.4f}, exact {exact}", flush=True)
    return found


def run(model: DemoModel, x: Tensor, unit: list[int], text: Taught) -> Tensor:
    for sublayer in unit:
        x = add_sublayer(model, x, sublayer, text)
    return x


@dataclass
class Accuracy:
    run: str
    right: int
    total: int

    def plain(self) -> dict:
        low, high = wilson(self.right, self.total)
        share = self.right / self.total
        return {"name": self.run, "right": self.right, "total": self.total} | {
            "accuracy": share,
            "low": low,
            "high": high,
        }


def accuracy(folder: Path, count: int, plan: LayerPlan, run: tuple[str, bool]) -> Accuracy:
    """Of greedy decoding on the held-out items that docs/demo-model.md measures."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = planned(load_folder(folder), plan)
    task, thinking = run
    exercises = list(islice(items(task, HELD_OUT_SEED, held_out=True), count))
    prompts = [prompt_text(item, thinking) for item in exercises]
    texts = generate_texts(model, load(folder), prompts)
    marks = [
        TASKS[task].check(item.check, without_thinking(text))
        for item, text in zip(exercises, texts, strict=True)
    ]
    return Accuracy(title(*run), sum(marks), count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--calibration", type=int, default=40, help="training items per task")
    parser.add_argument("--items", type=int, default=200, help="held-out items per task")
    parser.add_argument("--removed", default="3,4,5,6", help="sublayers of the plans measured")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = load_folder(args.folder)
    sizes = [0, *map(int, args.removed.split(","))]
    text = taught(args.folder, CALIBRATION_SEED, args.calibration, held_out=False)
    found = greedy(model, text, max(sizes), sublayers(model))
    layers, report = len(model.model.layers), []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for size in sizes:
            plan = LayerPlan.without(found[size].removed)
            tasks = list(pool.map(partial(accuracy, args.folder, args.items, plan), RUNS))
            mean = sum(task.right / task.total for task in tasks[: len(TASKS)]) / len(TASKS)
            shares = " ".join(f"{task.right / task.total:.1%}" for task in tasks)
            print(f"{json.dumps(plan.plain())} mean {mean:.2%}: {shares}", flush=True)
            report.append(
                {
                    "plan": plan.plain(),
                    "sublayersExecuted": plan.executed(layers),
                    "sublayers": 2 * layers,
                    "calibrationKl": found[size].mean_kl,
                    "meanAccuracy": mean,
                    "tasks": [task.plain() for task in tasks],
                }
            )
    if args.json:
        content = {
            "model": f"assets/{args.folder.resolve().name}",
            "command": f"python layer_plans.py {' '.join(map(str, command(args)))}",
            "heldOutSeed": HELD_OUT_SEED,
            "calibrationSeed": CALIBRATION_SEED,
            "plans": report,
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n")


def command(args: argparse.Namespace) -> list:
    folder = f"../../assets/{args.folder.resolve().name}"
    return [
        folder,
        "--calibration",
        args.calibration,
        "--items",
        args.items,
        "--removed",
        args.removed,
    ]


if __name__ == "__main__":
    main()
