"""Test fixtures from the released model: named prompts with its greedy answers, held-out items.

All are held-out items. A named prompt is the first of its shape that the model answers rightly and
without a near tie, so that another implementation can be held to the same ids. A sparse model must
also choose its experts without a near tie, at every token and layer.
Usage: python fixtures.py FOLDER OUTPUT [--held-out]
"""

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from chat import prompt_text, without_thinking
from generate import generate_ids
from grammar import items
from item import Item
from model import DemoModel, Rows
from moe import SparseMLP
from tasks import TASKS
from tasks.story import STORY_WORDS
from tokenizer import TURN_END, load
from tokenizers import Tokenizer
from weights import load_folder

FIXTURE_SEED = 30_000
HELD_OUT_PER_TASK = 20
SMALLEST_MARGIN = 0.05  # between the best two logits of any step
SMALLEST_ROUTER_GAP = 1e-3  # between the last chosen expert's logit and the next one's
DECIMALS = {"smallestMargin": 3, "minRouterGap": 5}
TRIED = 400


def asked(item: Item) -> str:
    return item.messages[-1]["content"]


def turns(item: Item) -> int:
    return len(item.messages)


# name: (task, thinking, shape of the item)
PROMPTS: dict[str, tuple[str, bool, Callable[[Item], bool]]] = {
    "story": ("story", True, lambda item: len(item.check["mention"]) == 2),
    "addition with thinking": ("arithmetic", True, lambda item: "carry" in item.think),
    "subtraction without thinking": ("arithmetic", False, lambda item: "borrow" in item.think),
    "sort five words": ("sorting", True, lambda item: item.answer.count(",") == 4
                        and item.tags == ["sort"]),
    "reverse five words": ("sorting", True, lambda item: item.answer.count(",") == 4
                           and item.tags == ["reverse"]),
    "recall over four turns": ("recall", True, lambda item: turns(item) >= 7),
    "object from a schema": ("json", True, lambda item: len(item.check["json"]) == 3
                             and "properties" in asked(item)),
    "object from keys": ("json", True, lambda item: len(item.check["json"]) == 2
                         and "properties" not in asked(item)),
    "tool call": ("tool", True, lambda item: item.tags == ["call"] and len(item.tools) == 2),
    "tool result": ("tool", True, lambda item: item.tags == ["result"] and len(item.tools) == 2),
}  # fmt: skip


def margins(model: DemoModel, prompt: list[int], answer: list[int]) -> dict[str, float]:
    """How near the model came to another answer, and to other experts."""
    ids = torch.tensor(prompt + answer)
    rows = Rows([(0, 1, len(ids))], torch.arange(len(ids)))
    with torch.inference_mode():
        hidden = model.forward_rows(ids, rows, [True] * (2 * model.config.num_hidden_layers))
        best = model.head(hidden[len(prompt) - 1 :]).topk(2).values
    found = {"smallestMargin": (best[:, 0] - best[:, 1]).min().item()}
    sparse = [layer.mlp for layer in model.model.layers if isinstance(layer.mlp, SparseMLP)]
    if sparse:
        ranked = [mlp.logits.sort(descending=True).values for mlp in sparse]
        gaps = [logits[:, mlp.top - 1] - logits[:, mlp.top] for mlp, logits in zip(sparse, ranked)]
        found["minRouterGap"] = torch.cat(gaps).min().item()
    return found


def is_clear(found: dict[str, float]) -> bool:
    gap = found.get("minRouterGap", SMALLEST_ROUTER_GAP)
    return found["smallestMargin"] >= SMALLEST_MARGIN and gap >= SMALLEST_ROUTER_GAP


def plain(item: Item, thinking: bool) -> dict:
    content = {"task": item.task, "messages": item.messages}
    if item.tools:
        content["tools"] = item.tools
    return content | {"enableThinking": thinking, "check": item.check}


def named_prompt(model: DemoModel, tokenizer: Tokenizer, name: str) -> dict:
    task, thinking, shape = PROMPTS[name]
    for item in islice(filter(shape, items(task, FIXTURE_SEED, held_out=True)), TRIED):
        prompt = tokenizer.encode(prompt_text(item, thinking)).ids
        if not is_clear(margins(model, prompt, [])):
            continue  # most fall here, before the slow part
        (answer,) = generate_ids(model, [prompt])
        text = tokenizer.decode(answer, skip_special_tokens=False)
        found = margins(model, prompt, answer)
        if TASKS[task].check(item.check, without_thinking(text)) and is_clear(found):
            return {"name": name} | plain(item, thinking) | {
                "promptTokenIds": prompt, "tokenIds": answer, "text": text,
            } | {key: round(value, DECIMALS[key]) for key, value in found.items()}  # fmt: skip
    raise SystemExit(f"none of {TRIED} items fits the prompt {name!r}")


def held_out_lines() -> Iterator[str]:
    """They are the grammar's, the same for every model."""
    for task in TASKS:
        for item in islice(items(task, FIXTURE_SEED + 1, held_out=True), HELD_OUT_PER_TASK):
            yield json.dumps(plain(item, True) | {"answer": item.answer}) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("output", type=Path)
    parser.add_argument("--held-out", action="store_true", help="write heldout.jsonl too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_folder(args.folder), load(args.folder)
    args.output.mkdir(parents=True, exist_ok=True)
    prompts = [named_prompt(model, tokenizer, name) for name in PROMPTS]
    words = sorted({*STORY_WORDS, "An", "an"})
    content = {"endOfTurnId": TURN_END, "storyWords": words, "prompts": prompts}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    (args.output / "prompts.json").write_text(text)
    if args.held_out:
        (args.output / "heldout.jsonl").write_text("".join(held_out_lines()))


if __name__ == "__main__":
    main()
