"""Static layer plans of a demo model: found by greedy removal, or among all of one size.

A plan is grown by one sublayer at a time: the one without which the model, on answers of its training
tasks, stays nearest to the whole model (KL, mean over tasks). With --every N, all plans without N
sublayers are tried, and those nearest by KL judged by their answers to more training items. Nothing of
held-out items is used to find a plan; compare.py measures on these.
Usage: python layer_plans.py FOLDER [--removed 6] [--every N --finalists 10 --final 400] [--json FILE]
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from marks import exercises, marks
from model import DemoModel
from paths import once
from planned import LayerPlan, planned
from taught import RUNS, Taught, by_run, divergence, log_probabilities, right, taught, title
from tasks import TASKS
from torch import Tensor
from weights import load_folder

CALIBRATION_SEED = 30_000
FINAL_SEED = 60_000


def add_sublayer(model: DemoModel, x: Tensor, sublayer: int, text: Taught) -> Tensor:
    layer = model.model.layers[sublayer // 2]
    if sublayer % 2:
        return layer.mlp_by_plan(x)
    cos, sin = model.cos[text.rows.positions], model.sin[text.rows.positions]
    return layer.attention_by_plan(x, cos, sin, text.rows)


def normalised(model: DemoModel, x: Tensor, sublayer: int) -> Tensor:
    """What the sublayer reads of x."""
    layer = model.model.layers[sublayer // 2]
    return layer.mlp_input(x) if sublayer % 2 else layer.attention_input(x)


@dataclass
class Found:
    """A plan without the sublayers `removed`, its KL and exact answers by run on the texts."""

    removed: list[int]
    kl: list[float]
    exact: list[float]

    @property
    def mean_kl(self) -> float:
        return sum(self.kl) / len(self.kl)

    def plain(self) -> dict:
        """`exact` has no stories: of these none is expected."""
        exact = {title(*run): share for run, share in zip(RUNS, self.exact) if run[0] != "story"}
        return {"plan": LayerPlan.without(self.removed).plain(), "kl": self.mean_kl, "exact": exact}


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


def every_plan(
    model: DemoModel, x: Tensor, text: Taught, left: int, sublayer: int = 0
) -> Iterator[tuple[list[int], Tensor]]:
    """All choices of `left` sublayers from this one on, with the hidden states after the last where
    these are skipped. x enters the sublayer; plans that begin alike share their beginning."""
    sublayers = 2 * len(model.model.layers)
    if sublayer == sublayers:
        yield [], x
        return
    if left:
        for removed, hidden in every_plan(model, x, text, left - 1, sublayer + 1):
            yield [sublayer, *removed], hidden
    if sublayers - sublayer > left:
        x = add_sublayer(model, x, sublayer, text)
        yield from every_plan(model, x, text, left, sublayer + 1)


@torch.inference_mode()
def without(model: DemoModel, text: Taught, removed: list[int]) -> Tensor:
    """Hidden states after the last sublayer."""
    kept = [at for at in range(2 * len(model.model.layers)) if at not in removed]
    return run(model, model.model.embed_tokens(text.ids), kept, text)


def near(model: DemoModel, text: Taught, removals: int, finalists: int) -> list[LayerPlan]:
    """Of all plans without so many sublayers, those of least KL to the whole model, mean of six tasks."""
    with torch.inference_mode():
        whole, found = log_probabilities(model, without(model, text, []), text), []
        for removed, hidden in every_plan(model, model.model.embed_tokens(text.ids), text, removals):
            kl = divergence(whole, log_probabilities(model, hidden, text), text)
            found.append((float(kl[: len(TASKS)].mean()), removed))
    return [LayerPlan.without(removed) for _, removed in sorted(found)[:finalists]]


def decoded(folder: Path, model: DemoModel, plans: list[LayerPlan], count: int) -> list[dict]:
    """Training items that the model by each plan answers rightly, most first; of six tasks."""
    ways = [planned(model, plan) for plan in plans]
    rights: list[dict[str, float]] = [{} for _ in plans]
    for run in range(len(TASKS)):
        text = exercises(folder, run, count, FINAL_SEED, held_out=False)
        for right, marked in zip(rights, marks(folder, text, [(way, once(way, text)) for way in ways])):
            right[title(*RUNS[run])] = float(marked.float().mean())
    made = [
        {"plan": plan.plain(), "meanAccuracy": sum(right.values()) / len(TASKS), "tasks": right}
        for plan, right in zip(plans, rights, strict=True)
    ]
    return sorted(made, key=lambda one: -one["meanAccuracy"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--calibration", type=int, default=40, help="training items per task")
    parser.add_argument("--removed", type=int, default=6, help="sublayers that greedy removal takes")
    parser.add_argument("--every", type=int, help="also try all plans without so many sublayers")
    parser.add_argument("--finalists", type=int, default=10, help="of these")
    parser.add_argument("--final", type=int, default=400, help="training items per task for these")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = load_folder(args.folder)
    text = taught(args.folder, CALIBRATION_SEED, args.calibration, held_out=False)
    content = {
        "model": f"assets/{args.folder.resolve().name}",
        "command": f"python layer_plans.py {shlex.join(sys.argv[1:])}",
        "calibrationSeed": CALIBRATION_SEED,
        "greedy": [one.plain() for one in greedy(model, text, args.removed, sublayers(model))],
    }
    if args.every:
        plans = [LayerPlan(), *near(model, text, args.every, args.finalists)]
        found = decoded(args.folder, model, plans, args.final)
        print("\n".join(map(str, found)), flush=True)
        content |= {"finalSeed": FINAL_SEED, "every": found}
    if args.json:
        args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
