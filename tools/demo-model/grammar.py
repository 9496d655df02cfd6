"""Deterministic text of the demo's tasks: from a seed to items, from items to conversations.

Owns the mix of tasks, system prompts and long conversations, and the split: an item whose content
hashes into the held-out tenth never appears in training, not even inside a longer conversation.
"""

import random
from collections.abc import Iterator

from item import Item, assistant, is_held_out
from tasks import SMALL_TALK, TASKS

MIX = {"story": 4, "arithmetic": 24, "sorting": 18, "recall": 21, "json": 24, "tool": 9}
SYSTEM_PROMPTS = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are Weft.",
    "Answer in short sentences.", "You are a kind and clever assistant.",
]  # fmt: skip


def draw(rng: random.Random, task: str, held_out: bool) -> Item:
    while True:
        item = TASKS[task].generate(rng)
        if is_held_out(item) == held_out:
            return item


def items(task: str, seed: int, held_out: bool) -> Iterator[Item]:
    """Endless items of one task, no prompt twice, each with the system prompt it would get."""
    rng, seen = random.Random(f"{task} {seed}"), set()
    while True:
        item = with_system(rng, draw(rng, task, held_out))
        prompt = repr(item.messages)
        if prompt not in seen:
            seen.add(prompt)
            yield item


def with_system(rng: random.Random, item: Item) -> Item:
    if rng.random() < 0.3:
        item.messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    return item


def training_item(rng: random.Random) -> Item:
    """One training item; one in six is the last exercise of a longer conversation."""
    if rng.random() < 0.02:
        item = SMALL_TALK.generate(rng)
    else:
        item = draw(rng, rng.choices(list(MIX), list(MIX.values()))[0], held_out=False)
    if rng.random() < 0.17 and not item.tools:
        item = lengthen(rng, item)
    return with_system(rng, item)


def lengthen(rng: random.Random, item: Item) -> Item:
    """Put other exercises before the item, or between the turns of its conversation."""
    for _ in range(rng.randint(1, 4)):
        task = rng.choice(["story", "arithmetic", "sorting", "recall", "json"])
        other = draw(rng, task, held_out=False) if rng.random() < 0.9 else SMALL_TALK.generate(rng)
        if other.task == "recall":  # two sets of facts could contradict each other
            if item.task == "recall" or any(m["role"] == "assistant" for m in item.messages):
                continue
        turns = [*other.messages, assistant(other.answer)]
        turns[-1]["practised"] = other.task != "arithmetic"  # without its thinking it is not ours
        at = 2 * rng.randint(0, len(item.messages) // 2) if item.task == "recall" else 0
        item.messages[at:at] = turns
    return item


def training_items(seed: int | str) -> Iterator[Item]:
    rng = random.Random(f"training {seed}")
    while True:
        yield training_item(rng)
