"""Train a demo model on this machine's processor, inside a budget of minutes.

Workers of one thread each train on their own text and average their weights every few seconds:
no thread waits at a barrier inside a step, so training keeps its speed on a shared machine. The
learning rate follows elapsed time: a short warm-up, a constant part, a linear decay to zero.
Checkpoints hold everything needed to go on; `--resume` starts a new budget from one.
Usage: python train.py --folder ASSETS --run RUN --minutes 60 [--resume CHECKPOINT]
       [--model demo-moe --upcycle DENSE_FOLDER]
"""

import argparse
import os
import random
import time
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from corpus import Batch, Corpus
from model import MODELS, DemoModel
from moe import SparseMLP, balance_loss
from muon import Muon
from torch import Tensor
from upcycle import upcycle
from weights import load_folder

LAYER_DROPOUT = 0.1  # of the last sublayer; rises linearly from 0
AVERAGE_SECONDS = 20
AVERAGES_PER_CHECKPOINT = 15
BALANCE = 0.01  # weight of the routers' balancing loss, which is averaged over layers
KEPT_AVERAGE = 0.9  # share of the moving average of weights that outlives one exchange


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="holds tokenizer.json")
    parser.add_argument("--run", type=Path, required=True, help="where checkpoints go")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--decay", type=float, default=0.35, help="share of the time")
    parser.add_argument("--tokens", type=int, default=3072, help="per step of a worker")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--matrix-lr", type=float, default=4e-3)
    parser.add_argument("--vector-lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--model", choices=MODELS, default="demo")
    parser.add_argument("--upcycle", type=Path, help="folder of the dense model to start from")
    return parser.parse_args()


def rate(spent: float, decay: float) -> float:
    """Share of the peak learning rate after a share `spent` of the budget."""
    return max(0.0, min(1.0, spent / 0.02, (1 - spent) / decay))


def optimisers(model: DemoModel, args: argparse.Namespace) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim == 1 or "embed" in name]
    return [
        Muon(matrices, lr=args.matrix_lr, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=args.vector_lr, betas=(0.9, 0.98), weight_decay=0, fused=True),
    ]


def compile_layers(model: DemoModel) -> None:
    for layer in model.model.layers:
        layer.heads = torch.compile(layer.heads, dynamic=False)
        layer.add_attention = torch.compile(layer.add_attention, dynamic=False)
        if isinstance(layer.mlp, SparseMLP):  # how many rows an expert gets differs every time
            layer.mlp.choose = torch.compile(layer.mlp.choose, dynamic=False)
            layer.mlp.activate = torch.compile(layer.mlp.activate, dynamic=False)
        else:
            layer.add_mlp = torch.compile(layer.add_mlp, dynamic=False)


def loss_of(model: DemoModel, batch: Batch, rng: random.Random) -> tuple[Tensor, Tensor]:
    """What is minimised, and the part of it that is the text's."""
    sublayers = 2 * model.config.num_hidden_layers
    keep = [rng.random() >= LAYER_DROPOUT * at / (sublayers - 1) for at in range(sublayers)]
    hidden = model.forward_rows(batch.ids, batch.rows, keep)
    text = F.cross_entropy(model.head(hidden[batch.predict]), batch.targets)
    total = text
    for layer, kept in zip(model.model.layers, keep[1::2], strict=True):
        if kept and isinstance(layer.mlp, SparseMLP):
            balance = balance_loss(layer.mlp.logits, layer.mlp.top)
            total = total + BALANCE * balance / len(model.model.layers)
    return total, text


class WeightAverage:
    """Exchanges weights between workers and keeps their moving average, a good model any time."""

    def __init__(self, model: DemoModel):
        self.parameters = list(model.parameters())
        self.moving = torch.nn.utils.parameters_to_vector(self.parameters).detach().clone()

    @torch.no_grad()
    def exchange(self) -> None:
        weights = torch.nn.utils.parameters_to_vector(self.parameters)
        dist.all_reduce(weights)
        weights /= dist.get_world_size()
        torch.nn.utils.vector_to_parameters(weights.clone(), self.parameters)
        self.moving.lerp_(weights, 1 - KEPT_AVERAGE)


def save(path: Path, model: DemoModel, tools: list, average: WeightAverage, step: int) -> None:
    state = {
        "model": model.state_dict(),
        "average": average.moving,
        "optimisers": [tool.state_dict() for tool in tools],
        "step": step,
        "config": asdict(model.config),
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def work(rank: int, args: argparse.Namespace) -> None:
    os.setsid()  # the scheduler then shares the machine with each worker, not with the pair
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    store = args.run / "meeting-point"
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=args.workers)
    torch.manual_seed(args.seed)
    config = MODELS[args.model]
    model = upcycle(load_folder(args.upcycle), config) if args.upcycle else DemoModel(config)
    tools = optimisers(model, args)
    step = 0
    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        for tool, saved in zip(tools, state["optimisers"]):
            tool.load_state_dict(saved)
        step = state["step"]
    compile_layers(model)
    average = WeightAverage(model)
    rng = random.Random(f"{args.seed} {rank} {step}")
    corpus = Corpus(args.folder, f"{args.seed} {rank} {step}", args.tokens)
    loss_of(model, corpus.batch(), rng)[0].backward()  # compiles
    started = torch.tensor(time.time(), dtype=torch.float64)
    dist.broadcast(started, 0)
    losses, first, exchanges = [], step, 0
    last_exchange = round(60 * args.minutes / AVERAGE_SECONDS)
    while exchanges < last_exchange:  # counted, so that no worker waits for one that has left
        spent = (time.time() - started.item()) / (60 * args.minutes)
        for tool, peak in zip(tools, [args.matrix_lr, args.vector_lr]):
            tool.param_groups[0]["lr"] = peak * rate(spent, args.decay)
            tool.zero_grad(set_to_none=True)
        total, loss = loss_of(model, corpus.batch(), rng)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for tool in tools:
            tool.step()
        losses.append(loss.item())
        step += 1
        if time.time() - started.item() > (exchanges + 1) * AVERAGE_SECONDS:
            average.exchange()
            exchanges += 1
            mean, tokens = sum(losses) / len(losses), (step - first) * args.tokens
            if rank == 0:
                print(f"spent {spent:.3f} step {step} tokens {tokens} loss {mean:.4f}", flush=True)
                if exchanges % AVERAGES_PER_CHECKPOINT == 0:
                    save(args.run / f"step-{step}.pt", model, tools, average, step)
            losses = []
    if rank == 0:
        save(args.run / "last.pt", model, tools, average, step)
        print("done", flush=True)
    dist.destroy_process_group()


def main() -> None:
    args = parse()
    args.run.mkdir(parents=True, exist_ok=True)
    (args.run / "meeting-point").unlink(missing_ok=True)
    torch.multiprocessing.spawn(work, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
