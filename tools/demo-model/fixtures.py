"""Test fixtures from the released model: named prompts with its greedy answers, held-out items.

All are held-out items. A named prompt is the first of its shape that the model answers rightly and
without a near tie, so that another implementation can be held to the same ids.
Usage: python fixtures.py FOLDER OUTPUT
"""

import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from chat import prompt_text, without_thinking
from generate import generate_ids
from grammar import items
from item import Item
from model import DemoModel, Rows
from tasks import TASKS
from tasks.story import STORY_WORDS
from tokenizer import TURN_END, load
from tokenizers import Tokenizer
from weights import load_folder

FIXTURE_SEED = 30_000
HELD_OUT_PER_TASK = 20
SMALLEST_MARGIN = 0.05  # between the best two logits of any step
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


def smallest_margin(model: DemoModel, prompt: list[int], answer: list[int]) -> float:
    ids = torch.tensor(prompt + answer)
    rows = Rows([(0, 1, len(ids))], torch.arange(len(ids)))
    with torch.inference_mode():
        hidden = model.forward_rows(ids, rows, [True] * (2 * model.config.num_hidden_layers))
        best = model.head(hidden[len(prompt) - 1 :]).topk(2).values
    return (best[:, 0] - best[:, 1]).min().item()


def plain(item: Item, thinking: bool) -> dict:
    content = {"task": item.task, "messages": item.messages}
    if item.tools:
        content["tools"] = item.tools
    return content | {"enableThinking": thinking, "check": item.check}


def named_prompt(model: DemoModel, tokenizer: Tokenizer, name: str) -> dict:
    task, thinking, shape = PROMPTS[name]
    for item in islice(filter(shape, items(task, FIXTURE_SEED, held_out=True)), TRIED):
        prompt = tokenizer.encode(prompt_text(item, thinking)).ids
        (answer,) = generate_ids(model, [prompt])
        text = tokenizer.decode(answer, skip_special_tokens=False)
        margin = smallest_margin(model, prompt, answer)
        if TASKS[task].check(item.check, without_thinking(text)) and margin >= SMALLEST_MARGIN:
            return {"name": name} | plain(item, thinking) | {
                "promptTokenIds": prompt, "tokenIds": answer, "text": text,
                "smallestMargin": round(margin, 3),
            }  # fmt: skip
    raise SystemExit(f"none of {TRIED} items fits the prompt {name!r}")


def main(folder: Path, output: Path) -> None:
    torch.set_num_threads(1)
    model, tokenizer = load_folder(folder), load(folder)
    output.mkdir(parents=True, exist_ok=True)
    prompts = [named_prompt(model, tokenizer, name) for name in PROMPTS]
    words = sorted({*STORY_WORDS, "An", "an"})
    content = {"endOfTurnId": TURN_END, "storyWords": words, "prompts": prompts}
    (output / "prompts.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    lines = []
    for task in TASKS:
        held_out = islice(items(task, FIXTURE_SEED + 1, held_out=True), HELD_OUT_PER_TASK)
        lines += [json.dumps(plain(item, True) | {"answer": item.answer}) for item in held_out]
    (output / "heldout.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
