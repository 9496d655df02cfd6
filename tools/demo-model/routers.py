"""Routers of layers for a demo model, as Dr.LLM has them (arXiv:2510.12773), and what they are worth.

For prompts of the training tasks a short path with the right answer is searched (paths.py); one router
per layer learns these paths from the prompt's residual stream; then accuracy on held-out items and the
layers executed stand beside the whole model, a static plan, and random layers skipped at the same cost.
Usage: python routers.py FOLDER --work DIR [--train 300] [--items 1000] [--json FILE]
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from evaluate import HELD_OUT_SEED
from generate import generate_ids
from grammar import items
from layer_plans import CALIBRATION_SEED, Accuracy, greedy, whole_layers
from model import DemoModel
from paths import at_random, clearly_right, hidden_by_path, mixed, shortest_paths, static
from safetensors.torch import load_file, save_file
from taught import (
    RUNS,
    Taught,
    batch,
    both,
    log_probabilities,
    padded,
    right,
    taught,
    title,
)
from tasks import TASKS
from tokenizer import load
from torch import Tensor, nn
from weights import load_folder

ROUTER_SIZE = 128
MOST_WINDOWS = 8
TRAINING_SEED = 40_000
TOKENS_AT_ONCE = 16_384
TRIES = 3  # layers that a search leaves out in turn before it stops

FOCUS = 2.0
EFFECTIVE = 0.999
EPOCHS = 40
RATE = 1e-3
DECAY = 1e-2


class Router(nn.Module):
    """Logits of skip, execute and repeat. x [..., W, hidden] of windows -> [..., 3]."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.linear1 = nn.Linear(hidden_size, ROUTER_SIZE)
        self.linear2 = nn.Linear(ROUTER_SIZE, 3)

    def forward(self, windows: Tensor) -> Tensor:
        return self.linear2(F.gelu(self.linear1(windows), approximate="tanh")).mean(-2)


def windows_of(hidden: Tensor, text: Taught) -> Tensor:
    """Means [items, W, hidden] over runs of each prompt's positions; no prompt here is shorter than W."""
    sums = F.pad(hidden.double().cumsum(0), (0, 0, 1, 0))
    starts, start = [], 0
    for _, count, length in text.rows.groups:
        starts += range(start, start + count * length, length)
        start += count * length
    sizes = torch.tensor([len(prompt) for prompt, _ in text.texts]) // MOST_WINDOWS
    assert sizes.min() > 0
    edges = torch.tensor(starts)[:, None] + sizes[:, None] * torch.arange(MOST_WINDOWS + 1)
    return (sums[edges].diff(dim=1) / sizes[:, None, None]).float()


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


def labels(
    folder: Path, model: DemoModel, text: Taught, order: list[int], most: int
) -> tuple[Tensor, Tensor]:
    """A short right path for each item, and whether there is one."""
    tokenizer, story = load(folder), RUNS.index(("story", True))

    def judge(which: Tensor, visits: Tensor) -> Tensor:
        right = torch.zeros(len(which), dtype=torch.bool)
        told = [n for n, item in enumerate(which.tolist()) if text.run[item] == story]
        if told:
            prompts = [text.texts[which[n]][0] for n in told]
            for n, ids in zip(told, answers(model, prompts, visits[told])):
                said = tokenizer.decode(ids, skip_special_tokens=False)
                right[n] = TASKS["story"].check(text.items[which[n]].check, said)
        fed = [n for n in range(len(which)) if n not in set(told)]
        at = 0
        for piece in pieces(text, which[fed].tolist()) if fed else []:
            these = fed[at : at + len(piece)]
            right[these] = clearly_right(model, text.some(piece), visits[these])
            at += len(piece)
        print(f"{len(which)} paths, {int(right.sum())} right", flush=True)
        return right

    return shortest_paths(len(text.run), order, most, TRIES, judge)


def train(model: DemoModel, text: Taught, visits: Tensor, usable: Tensor) -> nn.ModuleList:
    """Routers that see, before each layer, what the labelled path gives."""
    windows = torch.zeros(*visits.shape, MOST_WINDOWS, model.config.hidden_size)
    for piece in pieces(text, list(range(len(text.run)))):
        part, mine = text.some(piece), visits[piece]

        def look(at: int, hidden: Tensor) -> Tensor:
            windows[piece, at] = windows_of(hidden, part)
            return mine[:, at]

        hidden_by_path(model, part, look)
    windows, visits = windows[usable], visits[usable]
    counts = visits.flatten().bincount(minlength=3).double()
    weight = ((1 - EFFECTIVE) / (1 - EFFECTIVE**counts)).nan_to_num(posinf=0.0).float()
    weight = weight / weight.sum() * 3
    print(f"labels: skip, execute, repeat {counts.int().tolist()}, weights {weight.tolist()}")
    routers = nn.ModuleList(Router(model.config.hidden_size) for _ in model.model.layers)
    tool = torch.optim.AdamW(routers.parameters(), RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        total = 0.0
        for some in torch.randperm(len(visits)).split(64):
            logits = torch.stack([r(windows[some, at]) for at, r in enumerate(routers)], 1)
            told = logits.log_softmax(-1).gather(2, visits[some][..., None])[..., 0]
            loss = (-weight[visits[some]] * (1 - told.exp()) ** FOCUS * told).mean()
            tool.zero_grad()
            loss.backward()
            tool.step()
            total += loss.item() * len(some) / len(visits)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1} loss {total:.4f}", flush=True)
    return routers


@torch.inference_mode()
def decided(model: DemoModel, routers: nn.ModuleList, text: Taught) -> Tensor:
    """Visits [items, layers] that the routers decide, each seeing what those before it left."""
    return hidden_by_path(
        model, text, lambda at, hidden: routers[at](windows_of(hidden, text)).argmax(-1)
    )[1]


def save_released(routers: nn.ModuleList, path: Path) -> None:
    tensors = {f"model.routers.{name}": t.contiguous() for name, t in routers.state_dict().items()}
    save_file(tensors, path, {"format": "pt"})


def load_released(path: Path, model: DemoModel) -> nn.ModuleList:
    routers = nn.ModuleList(Router(model.config.hidden_size) for _ in model.model.layers)
    tensors = load_file(path).items()
    routers.load_state_dict({name.removeprefix("model.routers."): t for name, t in tensors})
    return routers


def told_right(model: DemoModel, tokenizer, text: Taught, visits: Tensor) -> Tensor:
    """Of each item, whether its path gives the right answer: a story is decoded and checked, any other
    answer is right if greedy decoding gives the expected one to its end."""
    if RUNS[text.run[0]][0] == "story":
        found = answers(model, [prompt for prompt, _ in text.texts], visits)
        texts = [tokenizer.decode(ids, skip_special_tokens=False) for ids in found]
        checks = [item.check for item in text.items]
        return torch.tensor(list(map(TASKS["story"].check, checks, texts)))
    marks = torch.zeros(len(text.run), dtype=torch.bool)
    for piece in pieces(text, list(range(len(text.run)))):
        part, mine = text.some(piece), visits[piece]
        hidden, _ = hidden_by_path(model, part, lambda at, _: mine[:, at])
        marks[piece] = right(log_probabilities(model, hidden, part), part)
    return marks


@torch.inference_mode()
def measured(
    folder: Path, path: Path, order: list[int], most: int, count: int, stories: int, run: int
) -> dict[str, tuple[Accuracy, float]]:
    """Accuracy and mean layers visited of each way to choose paths, on held-out items of one run."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model, tokenizer, (task, thinking) = load_folder(folder), load(folder), RUNS[run]
    count = stories if task == "story" else count
    exercises = list(islice(items(task, HELD_OUT_SEED, held_out=True), count))
    texts = [(both(tokenizer, item, thinking), item) for item in exercises]
    texts.sort(key=lambda one: padded(one[0]))
    text = batch([one for one, _ in texts], [run] * count, [item for _, item in texts])
    routers, layers = load_released(path, model), len(model.model.layers)
    routed = torch.zeros(count, layers, dtype=torch.long)
    for piece in pieces(text, list(range(count))):
        routed[piece] = decided(model, routers, text.some(piece))
    ways = {"routers": routed, "random, as many": at_random(routed)}
    ways |= {f"static, {n} skipped": static(order, n, layers, count) for n in range(most + 1)}
    found = {}
    for name, visits in ways.items():
        marks = told_right(model, tokenizer, text, visits)
        visited = float(visits.sum(1).float().mean())
        found[name] = Accuracy(title(task, thinking), int(marks.sum()), count), visited
        print(f"{found[name][0]}, {name}: {visited:.2f} layers", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--work", type=Path, required=True, help="where labels and routers go")
    parser.add_argument("--train", type=int, default=300, help="training items per task")
    parser.add_argument("--most", type=int, default=3, help="layers that a label skips at most")
    parser.add_argument("--items", type=int, default=200, help="held-out items per task")
    parser.add_argument("--stories", type=int, default=200, help="of them for stories, the slowest")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = load_folder(args.folder)
    if not (args.work / "labels.pt").exists():
        text = taught(args.folder, CALIBRATION_SEED, 40, held_out=False)
        layers = len(model.model.layers)
        removed = greedy(model, text, layers, whole_layers(model))[-1].removed
        order = [sublayer // 2 for sublayer in removed[::2]]
        text = taught(args.folder, TRAINING_SEED, args.train, held_out=False)
        made = labels(args.folder, model, text, order, args.most)
        torch.save((order, text, *made), args.work / "labels.pt")
    order, text, visits, usable = torch.load(args.work / "labels.pt", weights_only=False)
    path = args.work / "routers.safetensors"
    if not path.exists():
        save_released(train(model, text, visits, usable), path)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        sizes = (args.most, args.items, args.stories)
        one = partial(measured, args.folder, path, order, *sizes)
        runs = list(pool.map(one, range(len(RUNS))))
    report = []
    for way in runs[0]:
        tasks = [found[way][0] for found in runs]
        visited = [found[way][1] for found in runs]
        mean = sum(task.right / task.total for task in tasks[: len(TASKS)]) / len(TASKS)
        layers = sum(visited[: len(TASKS)]) / len(TASKS)
        shares = " ".join(f"{t.right / t.total:.1%}/{v:.2f}" for t, v in zip(tasks, visited))
        print(f"{way}: mean {mean:.2%}, {layers:.2f} layers: {shares}", flush=True)
        report.append(
            {
                "way": way,
                "meanAccuracy": mean,
                "meanLayers": layers,
                "tasks": [t.plain() | {"layers": v} for t, v in zip(tasks, visited)],
            }
        )
    if args.json:
        folder = f"assets/{args.folder.resolve().name}"
        command = f"python routers.py ../../{folder} --work runs/routers"
        command += f" --train {args.train} --most {args.most}"
        content = {
            "model": folder,
            "command": f"{command} --items {args.items} --stories {args.stories}",
            "layers": len(model.model.layers),
            "staticOrder": order,
            "labels": {
                "items": len(visits),
                "usable": int(usable.sum()),
                "visits": visits[usable].flatten().bincount(minlength=3).tolist(),
                "meanLayers": float(visits[usable].sum(1).float().mean()),
            },
            "ways": report,
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
