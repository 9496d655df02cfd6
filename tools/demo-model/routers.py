"""Routers of layers for a demo model, as Dr.LLM has them (arXiv:2510.12773).

For prompts of the training tasks a short path with the right answer is searched (paths.py); one router
per layer learns these paths from the prompt's residual stream. What they are worth: compare.py.
Usage: python routers.py FOLDER --work DIR [--train 300] [--json FILE]
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from layer_plans import CALIBRATION_SEED, greedy, whole_layers
from model import DemoModel
from paths import answers, clearly_right, hidden_by_path, shortest_paths
from safetensors.torch import load_file, save_file
from taught import RUNS, Taught, pieces, taught
from tasks import TASKS
from tokenizer import load
from torch import Tensor, nn
from weights import load_folder

ROUTER_SIZE = 128
MOST_WINDOWS = 8
TRAINING_SEED = 40_000
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
    found = torch.zeros(len(text.run), len(routers), dtype=torch.long)
    for piece in pieces(text, list(range(len(text.run)))):
        part = text.some(piece)
        found[piece] = hidden_by_path(
            model, part, lambda at, hidden: routers[at](windows_of(hidden, part)).argmax(-1)
        )[1]
    return found


def save_released(routers: nn.ModuleList, path: Path) -> None:
    tensors = {f"model.routers.{name}": t.contiguous() for name, t in routers.state_dict().items()}
    save_file(tensors, path, {"format": "pt"})


def load_released(path: Path, model: DemoModel) -> nn.ModuleList:
    routers = nn.ModuleList(Router(model.config.hidden_size) for _ in model.model.layers)
    tensors = load_file(path).items()
    routers.load_state_dict({name.removeprefix("model.routers."): t for name, t in tensors})
    return routers


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--work", type=Path, required=True, help="where labels and routers go")
    parser.add_argument("--train", type=int, default=300, help="training items per task")
    parser.add_argument("--most", type=int, default=3, help="layers that a label skips at most")
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
    if args.json:
        folder = f"assets/{args.folder.resolve().name}"
        command = f"python routers.py ../../{folder} --work runs/routers"
        content = {
            "model": folder,
            "command": f"{command} --train {args.train} --most {args.most}",
            "layers": len(model.model.layers),
            "staticOrder": order,
            "labels": {
                "items": len(visits),
                "usable": int(usable.sum()),
                "visits": visits[usable].flatten().bincount(minlength=3).tolist(),
                "meanLayers": float(visits[usable].sum(1).float().mean()),
            },
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
