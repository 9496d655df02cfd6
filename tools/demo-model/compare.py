"""Ways for a demo model to run fewer layers, beside the whole model on the same held-out items.

Static plans, low-rank forecasts in place of what they skip (forecasts.py), routers (routers.py), and
as many layers left out at random: accuracy of greedy decoding (marks.py), weights read per token, and
the difference to the whole model with a 95 % interval. pareto.py makes tables of the file.
Usage: python compare.py FOLDER --plan JSON … [--forecast JSON … --ranks 16,64] [--routers FILE]
       [--items 1000] [--stories 1000] --json FILE
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from evaluate import HELD_OUT_SEED, wilson
from forecasts import Fit, fits
from marks import exercises, marks
from model import DemoModel
from paths import at_random, once
from planned import LayerPlan, planned, weights_read
from routers import decided, load_released
from taught import RUNS, Taught, title
from tasks import TASKS
from torch import Tensor
from weights import load_folder

RESAMPLED = 20_000
WEIGHT_BYTES = 2  # bf16, as the models are stored; forecasts are counted alike


@dataclass
class Way:
    """`visits` says how often each item of a text visits each layer of the model."""

    name: str
    model: DemoModel
    visits: Callable[[Taught], Tensor]
    plan: LayerPlan | None = None
    rank: int = 0
    fit: Fit | None = None
    marked: list[Tensor] = field(default_factory=list)  # of each of RUNS, [items]
    sublayers: list[float] = field(default_factory=list)  # that a token runs, of each of RUNS
    read: list[float] = field(default_factory=list)  # weights that a token reads

    def add(self, visits: Tensor, marked: Tensor) -> None:
        """What another of RUNS showed."""
        layers = [2 - l.skips_attention - l.skips_mlp for l in self.model.model.layers]
        weights = [weights_read(layer) for layer in self.model.model.layers]
        per_layer, config = visits.double().mean(0), self.model.config
        # The output's matrix, the last norm, and a row of the embeddings.
        head = (config.vocab_size + 2) * config.hidden_size
        self.sublayers.append(float(per_layer @ torch.tensor(layers).double()))
        self.read.append(head + float(per_layer @ torch.tensor(weights).double()))
        self.marked.append(marked)


def static(model: DemoModel, plan: LayerPlan) -> Way:
    by_plan = planned(model, plan)
    return Way("static" if plan.plain() else "whole model", by_plan, partial(once, by_plan), plan)


def forecast(model: DemoModel, plan: LayerPlan, rank: int, made: Fit) -> Way:
    by_plan = planned(model, plan, made.forecasts)
    return Way(f"forecasts of rank {rank}", by_plan, partial(once, by_plan), plan, rank, made)


def routed(model: DemoModel, path: Path) -> list[Way]:
    routers = load_released(path, model)

    def any_as_many(text: Taught) -> Tensor:
        torch.manual_seed(0)
        return at_random(decided(model, routers, text))

    return [
        Way("routers", model, partial(decided, model, routers)),
        Way("as many layers, at random", model, any_as_many),
    ]


def mean_of_tasks(values: list[float]) -> float:
    """Of the six tasks, without the run that does not think."""
    return sum(values[: len(TASKS)]) / len(TASKS)


def difference(ours: list[Tensor], theirs: list[Tensor]) -> dict:
    """Of the mean accuracy of the six tasks, in points, with a 95 % interval: a paired bootstrap, the
    items of each task drawn anew with the marks of both. Only those count where one is right and the
    other wrong, so these counts are drawn instead."""
    drawn, random = np.zeros(RESAMPLED), np.random.default_rng(0)
    pairs = list(zip(ours, theirs, strict=True))
    for our, their in pairs[: len(TASKS)]:
        better, worse = int((our & ~their).sum()), int((their & ~our).sum())
        shares = np.array([better, worse, len(our) - better - worse]) / len(our)
        counts = random.multinomial(len(our), shares, RESAMPLED)
        drawn += (counts[:, 0] - counts[:, 1]) / len(our) / len(TASKS)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    mean = mean_of_tasks([float((our.double() - their.double()).mean()) for our, their in pairs])
    return {"points": 100 * mean, "low": 100 * low, "high": 100 * high}


def packed(marked: Tensor) -> str:
    """Marks as hexadecimal digits, the first item's in the highest bit."""
    return np.packbits(marked.numpy()).tobytes().hex()


def unpacked(digits: str, count: int) -> Tensor:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=count)
    return torch.from_numpy(bits).bool()


def report(way: Way, whole: Way, sublayers: int) -> dict:
    tasks = []
    for run, marked in zip(RUNS, way.marked, strict=True):
        right, total = int(marked.sum()), len(marked)
        low, high = wilson(right, total)
        shares = {"accuracy": right / total, "low": low, "high": high}
        tasks.append({"name": title(*run), "right": right, "total": total} | shares)
        tasks[-1]["marks"] = packed(marked)
    return {
        "way": way.name,
        "plan": None if way.plan is None else way.plan.plain(),
        "rank": way.rank,
        "sublayersExecuted": mean_of_tasks(way.sublayers),
        "sublayers": sublayers,
        "bytesRead": WEIGHT_BYTES * mean_of_tasks(way.read),
        "bytesShare": mean_of_tasks(way.read) / mean_of_tasks(whole.read),
        "meanAccuracy": mean_of_tasks([task["accuracy"] for task in tasks]),
        "lessWhole": difference(way.marked, whole.marked),
        **({"fit": way.fit.plain()} if way.fit else {}),
        "tasks": tasks,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--plan", type=LayerPlan.parse, action="append", default=[])
    parser.add_argument("--forecast", type=LayerPlan.parse, action="append", default=[])
    parser.add_argument("--ranks", default="16,64", help="of the forecasts")
    parser.add_argument("--routers", type=Path, help="safetensors of routers.py")
    parser.add_argument("--items", type=int, default=1000, help="held-out items per task")
    parser.add_argument("--stories", type=int, default=1000, help="of them for stories")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="of the items")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = load_folder(args.folder)
    ways = [static(model, LayerPlan())]
    for plan in args.plan:
        ways.append(static(model, plan))
        if plan in args.forecast:
            made = fits(args.folder, model, plan, [int(rank) for rank in args.ranks.split(",")])
            ways += [forecast(model, plan, rank, one) for rank, one in made.items()]
    ways += routed(model, args.routers) if args.routers else []
    for at, run in enumerate(RUNS):
        count = args.stories if run[0] == "story" else args.items
        text = exercises(args.folder, at, count, args.seed)
        visits = [way.visits(text) for way in ways]
        found = marks(args.folder, text, [(way.model, one) for way, one in zip(ways, visits)])
        for way, one, marked in zip(ways, visits, found, strict=True):
            way.add(one, marked)
            plan = "" if way.plan is None else json.dumps(way.plan.plain())
            print(f"{title(*run)}: {int(marked.sum())}, {way.name} {plan}", flush=True)
    sublayers = 2 * len(model.model.layers)
    content = {
        "model": f"assets/{args.folder.resolve().name}",
        "command": f"python compare.py {shlex.join(sys.argv[1:])}",
        "heldOutSeed": args.seed,
        "ways": [report(way, ways[0], sublayers) for way in ways],
    }
    args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
