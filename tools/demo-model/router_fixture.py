"""Writes test/fixtures/demo-routers: routers of the demo model's layers and what they decide.

Of each kind of prompt in fixtures.py the first held-out item whose decisions and answer no rounding
turns, and whose path no prompt before has, if there is one. The answer is that of the path, right or
wrong.
Usage: python router_fixture.py FOLDER ROUTERS OUTPUT
"""

import json
import sys
from itertools import islice
from pathlib import Path

import torch
from chat import prompt_text
from fixtures import FIXTURE_SEED, PROMPTS, SMALLEST_MARGIN
from grammar import items
from item import Item
from model import DemoModel
from paths import answers, hidden_by_path
from routers import load_released, save_released, windows_of
from taught import Taught, batch
from tokenizer import TURN_END, load
from torch import nn
from weights import load_folder

# Between the logits of the decision and those of the next.
SMALLEST_ROUTER_MARGIN = 0.05
TRIED = 150


def one(prompt: list[int], answer: list[int], item: Item) -> Taught:
    return batch([(prompt, [*answer, TURN_END])], [0], [item])


@torch.inference_mode()
def decisions(model: DemoModel, routers: nn.ModuleList, text: Taught) -> tuple[list[int], float]:
    """How often each layer runs, and by how much the nearest of these decisions was taken."""
    margins = []

    def decide(at: int, hidden: torch.Tensor) -> torch.Tensor:
        best = routers[at](windows_of(hidden, text)).topk(2)
        margins.append(float(best.values[0, 0] - best.values[0, 1]))
        return best.indices[:, 0]

    _, visits = hidden_by_path(model, text, decide)
    return visits[0].tolist(), min(margins)


@torch.inference_mode()
def smallest_margin(model: DemoModel, text: Taught, visits: torch.Tensor) -> float:
    hidden, _ = hidden_by_path(model, text, lambda at, _: visits[:, at])
    best = model.head(hidden[text.predict]).topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def named_prompt(
    model: DemoModel, routers: nn.ModuleList, tokenizer, name: str, others: list[list[int]]
) -> dict | None:
    """None if no item has a path that is not among the others."""
    task, thinking, shape = PROMPTS[name]
    for item in islice(filter(shape, items(task, FIXTURE_SEED, held_out=True)), TRIED):
        prompt = tokenizer.encode(prompt_text(item, thinking)).ids
        runs, margin = decisions(model, routers, one(prompt, [], item))
        visits = torch.tensor([runs])
        if margin < SMALLEST_ROUTER_MARGIN or runs in others:
            continue
        (answer,) = answers(model, [prompt], visits)
        clear = smallest_margin(model, one(prompt, answer, item), visits)
        if clear >= SMALLEST_MARGIN:
            return {
                "name": name,
                "messages": item.messages,
                **({"tools": item.tools} if item.tools else {}),
                "enableThinking": thinking,
                "promptTokenIds": prompt,
                "runs": runs,
                "routerMargin": round(margin, 3),
                "tokenIds": answer,
                "smallestMargin": round(clear, 3),
            }
    return None


def main() -> None:
    folder, source, output = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    output.mkdir(parents=True, exist_ok=True)
    model, tokenizer = load_folder(folder), load(folder)
    routers = load_released(source, model)
    save_released(routers, output / "model.safetensors")
    (output / "model.safetensors").chmod(0o644)
    prompts: list[dict] = []
    for name in PROMPTS:
        before = [prompt["runs"] for prompt in prompts]
        found = named_prompt(model, routers, tokenizer, name, before)
        found = found or named_prompt(model, routers, tokenizer, name, [])
        if found is None:
            raise SystemExit(f"none of {TRIED} items fits the prompt {name!r}")
        prompts.append(found)
    text = json.dumps({"prompts": prompts}, ensure_ascii=False, indent=1) + "\n"
    (output / "prompts.json").write_text(text)


if __name__ == "__main__":
    main()
