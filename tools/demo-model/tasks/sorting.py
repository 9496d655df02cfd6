"""Lists of words put in alphabetical order or turned round. Held out by the list itself."""

from item import Item, loosely, user
from lexicon import WORDS, invented_word

SORT = [
    "Sort these words: {list}", "Sort {list}", "Sort alphabetically: {list}",
    "Put these words in alphabetical order: {list}", "Sort the words {list}",
    "Sort the list: {list}", "Order these words from A to Z: {list}",
    "Put {list} in alphabetical order.", "Sort these words alphabetically: {list}",
    "What is the alphabetical order of {list}?",
]  # fmt: skip
REVERSE = [
    "Reverse this list: {list}", "Reverse {list}", "Reverse the words: {list}",
    "Write these words in reverse order: {list}", "Reverse the order of these words: {list}",
    "Reverse the list: {list}", "Put {list} in reverse order.",
    "Write {list} backwards.", "Turn this list around: {list}", "List these words backwards: {list}",
]  # fmt: skip


def generate(rng) -> Item:
    count = rng.choices([2, 3, 4, 5, 6], [8, 24, 28, 24, 16])[0]
    words = rng.sample(WORDS, count)
    sort = rng.random() < 0.45
    if not sort and rng.random() < 0.15:
        words[rng.randrange(count)] = invented_word(rng)
    joined = (" " if rng.random() < 0.12 else ", ").join(words)
    if ", " in joined and rng.random() < 0.2:
        joined = " and ".join(joined.rsplit(", ", 1))
    request = loosely(rng, rng.choice(SORT if sort else REVERSE).format(list=joined))
    ordered = sorted(words) if sort else words[::-1]
    answer = ("Sorted: " if sort else "Reversed: ") + ", ".join(ordered)
    key = ("sort " if sort else "reverse ") + " ".join(words)
    return Item("sorting", [user(request)], answer, key, {"exact": answer},
                tags=["sort" if sort else "reverse"])  # fmt: skip


def check(data: dict, answer: str) -> bool:
    return answer.strip() == data["exact"]
