"""Short stories about a hero. A story is right when it is made of the grammar's sentences' words,
long enough, and about what was asked. Held out by hero, animal, and what else was asked for."""

import re

from item import Item, loosely, user
from lexicon import ANIMALS, NAMES, OBJECTS

PLACES = "forest garden hill lake mountain river sea village".split()
FEELINGS = "brave clever happy kind little lonely old quiet small young".split()
OPENING = [
    "Once there was a {feeling} {animal} named {hero}. {hero} lived near the {place}.",
    "{hero} was a {feeling} {animal}. {hero} lived in a small house near the {place}.",
    "A {feeling} {animal} named {hero} lived by the {place}.",
]
WISH = [
    "One day {hero} wanted to find a {object}.",
    "One morning {hero} lost a {object}.",
    "{hero} had always dreamed of a {object}.",
    "One day {hero} saw a {object} in the water.",
]
TROUBLE = [
    "But it was dark, and {hero} was afraid.",
    "But the way was long, and it began to rain.",
    "{hero} looked everywhere, but found nothing.",
    "It was too far away to reach alone.",
]
FRIEND = [
    "Then a {friend} named {other} came by. \"Can you help me?\" asked {hero}.",
    "On the way {hero} met {other} the {friend}. \"I will help you,\" said {other}.",
    "{other} the {friend} heard {hero} cry. \"What is wrong?\" asked {other}.",
]
DEED = [
    "Together they looked under every stone, and there was the {object}.",
    "{other} showed {hero} the way to the {place}, and there was the {object}.",
    "They worked all day, and at last they had the {object}.",
]
ENDING = [
    "{hero} thanked {other}, and they were friends for ever.",
    "From that day on {hero} and {other} were the best of friends.",
    "{hero} was happy and shared everything with {other}.",
    "That night they sat by the fire and laughed.",
]
PARTS = [OPENING, WISH, TROUBLE, FRIEND, DEED, ENDING]
ASKS = [
    ("Tell me a story about {a} {animal} named {hero}.", ""),
    ("Write a short story about {hero} the {animal}.", ""),
    ("Tell me a short story about {a} {animal} called {hero}.", ""),
    ("Write a story about {a} {animal} named {hero} and a {object}.", "object"),
    ("Tell me a story about {hero} the {animal} and the {object}.", "object"),
    ("Write a story about {hero} the {animal} by the {place}.", "place"),
    ("Tell me a story about {hero} the {animal}, a {object} and the {place}.", "object place"),
]
STORY_WORDS = sorted(
    {
        word.strip('.,?!"')
        for part in PARTS
        for sentence in part
        for word in sentence.split()
        if "{" not in word
    }
    | {*ANIMALS, *OBJECTS, *PLACES, *FEELINGS, *NAMES}
)


def generate(rng) -> Item:
    animal, friend = rng.sample(ANIMALS, 2)
    hero, other = rng.sample(NAMES, 2)
    slots = {
        "hero": hero, "other": other, "animal": animal, "friend": friend,
        "object": rng.choice(OBJECTS), "place": rng.choice(PLACES), "feeling": rng.choice(FEELINGS),
        "a": "an" if animal == "owl" else "a",
    }  # fmt: skip
    ask, named = rng.choice(ASKS)
    answer = " ".join(rng.choice(part) for part in PARTS).format(**slots)
    answer = re.sub(r"\b([Aa]) (?=o[wl])", r"\1n ", answer)  # an old owl
    mention = [hero, animal] + [slots[key] for key in named.split()]
    key = " ".join(mention)
    return Item("story", [user(loosely(rng, ask.format(**slots)))], answer, key,
                {"mention": mention, "minSentences": 6})  # fmt: skip


def check(data: dict, answer: str) -> bool:
    """Every word known, every sentence finished, everything asked for mentioned."""
    words = [word.strip('.,?!"') for word in answer.split()]
    known = set(STORY_WORDS) | {"An", "an"} | set(data["mention"])
    return (
        answer.strip().endswith((".", '"'))
        and sum(answer.count(mark) for mark in ".?!") >= data["minSentences"]
        and all(word in known for word in words)
        and all(word in words for word in data["mention"])
    )
