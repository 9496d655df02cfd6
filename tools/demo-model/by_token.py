"""What a demo model loses when most tokens of an answer run fewer layers, chosen token by token.

    python by_token.py FOLDER --items 1000 --json FILE --document ../../docs/layer-skip.md

Of the prompt all tokens run all layers. Behind it, either one token in every `period` does and the others
leave some layers out (as LoRA-Drop's schedule, without its trained stand-ins), or a token leaves off where
it seems to be done: where the likeliest next token is likely enough, or the layer has hardly turned the
hidden state (both as in CALM, arXiv:2207.07061). What a token leaves out keeps its keys and values ("fill") or
nothing ("hole"). Answers are told, not decoded (taught.py): one is right if each of its tokens is the
likeliest after the right ones before.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from evaluate import HELD_OUT_SEED, replace_between
from model import DemoModel, Layer, attend_rows
from taught import RUNS, Taught, by_run, right, taught, title
from torch import Tensor
from weights import load_folder


# Texts at a time: more would not fit where processors keep things near.
SLICE = 200
# The dense model, of whose layers it is known which it misses least.
DENSE_LAYERS = 10


@dataclass
class Behind:
    """Of all tokens of a batch: their number behind the prompt, the first is 0; below, those of prompts."""

    number: Tensor

    @staticmethod
    def of(text: Taught) -> "Behind":
        number = torch.full_like(text.ids, -1)
        counts = text.owner.bincount(minlength=len(text.run))
        first = torch.cat((torch.zeros(1, dtype=torch.long), counts.cumsum(0)[:-1]))
        # The first position that predicts is the prompt's last token.
        number[text.predict] = torch.arange(len(text.predict)) - first[text.owner] - 1
        return Behind(number)


# Before each layer: which tokens run it, of hidden states before the last layer and now.
Choice = Callable[[int, Tensor, Tensor], Tensor]


def attend(layer: Layer, x: Tensor, cos, sin, text: Taught, seen: Tensor | None) -> Tensor:
    """As attend_rows; `seen` [tokens] are those that later ones look back on."""
    if seen is None:
        return attend_rows(*layer.heads(x, cos, sin), text.rows)
    outputs = []
    sizes = [count * length for _, count, length in text.rows.groups]
    parts = zip(*(part.split(sizes) for part in layer.heads(x, cos, sin)))
    start = 0
    for (_, count, length), part in zip(text.rows.groups, parts, strict=True):
        columns = seen[start : start + count * length].reshape(count, 1, 1, length)
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        mask = mask & (columns | torch.eye(length, dtype=torch.bool))
        heads = (one.unflatten(0, (count, length)).transpose(1, 2) for one in part)
        out = F.scaled_dot_product_attention(*heads, attn_mask=mask, enable_gqa=True)
        outputs.append(out.transpose(1, 2).reshape(count * length, -1))
        start += count * length
    return torch.cat(outputs)


@torch.inference_mode()
def run(model: DemoModel, text: Taught, choose: Choice, hole: bool) -> tuple[Tensor, Tensor]:
    """Hidden states of all positions, and how many layers each token ran."""
    x = before = model.model.embed_tokens(text.ids)
    cos, sin = model.cos[text.rows.positions], model.sin[text.rows.positions]
    executed = torch.zeros(len(x))
    for at, layer in enumerate(model.model.layers):
        runs = choose(at, before, x)
        executed += runs.float()
        attended = attend(layer, x, cos, sin, text, runs if hole else None)
        y = layer.add_mlp(layer.add_attention(x, attended))
        before, x = x, torch.where(runs[:, None], y, x)
    return x, executed


def temporal(text: Taught, skip: list[int], period: int) -> Choice:
    number = Behind.of(text).number
    less = (number >= 0) & (number % period != 0)
    return lambda at, _, x: ~less if at in skip else torch.ones(len(x), dtype=torch.bool)


def leaving(model: DemoModel, text: Taught, measure: str, exits: list[int], least: float) -> Choice:
    """A token that has left off runs nothing any more; it may before any of the layers `exits`."""
    going = torch.ones(len(text.ids), dtype=torch.bool)
    # The first token behind the prompt runs all layers.
    may_leave = Behind.of(text).number > 0

    def choose(at: int, before: Tensor, x: Tensor) -> Tensor:
        if at in exits:
            asked = (going & may_leave).nonzero()[:, 0]
            if measure == "likeliest":
                sure = model.head(x[asked]).softmax(-1).amax(-1)
            else:
                sure = F.cosine_similarity(before[asked], x[asked], dim=-1)
            going[asked[sure >= least]] = False
        return going.clone()

    return choose


def cases(layers: int) -> list[dict]:
    """Exits as the engine has them by default, at 70, 80 and 90 % of the layers, and from the middle on."""
    late = sorted({round(share * layers) for share in (0.7, 0.8, 0.9)})
    ways = ((late, 0.9), (late, 0.95), (list(range(layers // 2, layers)), 0.99))
    found = [
        {"method": "likeliest", "exits": exits, "threshold": least} for exits, least in ways
    ]
    if layers != DENSE_LAYERS:
        return found
    found += [
        {"method": "temporal", "skip": skip, "period": 4, "cache": cache}
        for skip, cache in (([5, 7, 8], "fill"), ([5, 7, 8], "hole"), ([5, 8], "fill"))
    ]
    return [*found, {"method": "unturned", "exits": late, "threshold": 0.97}]


def choice(model: DemoModel, text: Taught, what: dict) -> Choice:
    if what["method"] == "whole":
        return lambda at, before, x: torch.ones(len(x), dtype=torch.bool)
    if what["method"] == "temporal":
        return temporal(text, what["skip"], what["period"])
    return leaving(model, text, what["method"], what["exits"], what["threshold"])


def told(model: DemoModel, text: Taught, what: dict) -> tuple[Tensor, Tensor]:
    """Of each item whether it is right, and of each token behind a prompt how many layers it ran."""
    found, layers = [], []
    for start in range(0, len(text.run), SLICE):
        some = text.some(list(range(start, min(start + SLICE, len(text.run)))))
        hole = what.get("cache") == "hole"
        hidden, executed = run(model, some, choice(model, some, what), hole)
        found.append(right(model.head(hidden[some.predict]), some))
        layers.append(executed[Behind.of(some).number >= 0])
    return torch.cat(found), torch.cat(layers)


def weights(model: DemoModel, what: dict, executed: Tensor) -> float:
    """Elements read for a token on average, over those of the whole model: of layers that it runs, of the
    projections that fill in for others, and of the vocabulary as often as it is asked."""
    layer = model.model.layers[0]
    experts = getattr(model.config, "num_experts", 1)
    share = getattr(model.config, "num_experts_per_tok", 1) / experts

    def count(module) -> float:
        # Of stacked experts [E, out, in], those of one token.
        return sum(p.numel() * (share if p.ndim == 3 else 1) for p in module.parameters())

    fill = sum(count(getattr(layer.self_attn, name)) for name in ("q_proj", "k_proj", "v_proj"))
    layers, vocabulary = len(model.model.layers), model.model.embed_tokens.weight.numel()
    asked = torch.ones_like(executed)
    if what["method"] == "likeliest":
        exits = torch.tensor(what["exits"])
        # Whoever leaves has its logits already.
        asked = (exits[None] <= executed[:, None]).sum(1) + (executed == layers)
    left = layers - executed
    if what.get("cache") == "hole":
        left = torch.zeros_like(left)
    total = executed * count(layer) + left * fill + asked * vocabulary
    return float(total.mean()) / (layers * count(layer) + vocabulary)


def measured(what: dict, model: DemoModel, text: Taught, items: int) -> dict:
    is_right, executed = told(model, text, what)
    by_task = zip(RUNS, by_run(is_right, text))
    shares = {title(*of): float(v) for of, v in by_task if of[0] != "story"}
    # Of tasks with one right answer.
    tasks = [share for name, share in shares.items() if "without" not in name]
    mean = sum(tasks) / len(tasks)
    deviation = sum(p * (1 - p) / items for p in tasks) ** 0.5 / len(tasks)
    return what | {
        "layers": round(float(executed.mean()), 3),
        "weights": round(weights(model, what, executed), 4),
        "mean": round(100 * mean, 2),
        "within": round(100 * 1.96 * deviation, 2),
        "accuracy": {name: round(100 * share, 2) for name, share in shares.items()},
    }


def way(row: dict) -> str:
    if row["method"] == "whole":
        return "whole model"
    if row["method"] == "temporal":
        layers = ", ".join(map(str, row["skip"]))
        return f"temporal, without {layers}, {row['cache']}"
    layers = ", ".join(map(str, row["exits"]))
    how = "" if row["method"] == "likeliest" else ", by cosine"
    return f"early exit before {layers}, {row['threshold']}{how}"


def table(rows: list[dict]) -> str:
    names = list(rows[0]["accuracy"])
    titles = " | ".join(name.replace(", without", ", no") for name in names)
    lines = [
        f"| way | layers | weights | mean of five, 95 % | {titles} |",
        "|---|" + "---:|" * (3 + len(names)),
    ]
    for row in rows:
        shares = " | ".join(f"{row['accuracy'][name]:.1f}" for name in names)
        cost = f"{row['layers']:.2f} | {100 * row['weights']:.1f} %"
        lines.append(f"| {way(row)} | {cost} | {row['mean']:.2f} ± {row['within']:.2f} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--document", type=Path, help="whose table is replaced")
    options = parser.parse_args()
    model = load_folder(options.folder)
    text = taught(options.folder, HELD_OUT_SEED, options.items, held_out=True)
    rows = []
    for what in [{"method": "whole"}, *cases(model.config.num_hidden_layers)]:
        rows.append(measured(what, model, text, options.items))
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        options.json.write_text(f"[\n{lines}\n]\n")
    if options.document:
        replace_between(options.document, "by-token", options.folder, table(rows))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    main()
