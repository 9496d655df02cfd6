"""One exercise: a conversation, the answer it should get, and which split it belongs to."""

import hashlib
from dataclasses import dataclass, field

HELD_OUT_PER_HUNDRED = 10


@dataclass
class Item:
    """`messages` end just before the answer. `key` is the content that must not be in both splits.
    `check` is plain data: what the task's checker needs to judge any answer."""

    task: str
    messages: list[dict]
    answer: str
    key: str
    check: dict
    think: str | None = None
    tools: list[dict] | None = None
    memorised: bool = False  # a finite table that is learnt by heart; never held out
    tags: list[str] = field(default_factory=list)


def is_held_out(item: Item) -> bool:
    """Decided by the item's content alone, whatever its phrasing or the seed."""
    if item.memorised:
        return False
    digest = hashlib.sha256(f"{item.task}:{item.key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PER_HUNDRED


def user(content: str) -> dict:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict:
    return {"role": "assistant", "content": content}


def loosely(rng, request: str) -> str:
    """The same request as different people type it: case, politeness, final mark."""
    if rng.random() < 0.08:
        request = "Please " + request[0].lower() + request[1:]
    elif rng.random() < 0.12:
        request = request[0].lower() + request[1:]
    if rng.random() < 0.15:
        request = request[:-1] if request[-1] in ".?" else request + rng.choice([".", "?"])
    if rng.random() < 0.03:
        request = rng.choice(["Hi! ", "Hello. "]) + request
    return request
