"""Facts told over several turns and asked for later. Held out by the set of facts."""

from item import Item, assistant, loosely, user
from lexicon import (
    ANIMALS, CITIES, COLORS, FOODS, FRUITS, FURNITURE, JOBS, NAMES, OBJECTS, ROOMS, invented_word,
    plural,
)  # fmt: skip

NOTED = "Got it."


def name(rng) -> str:
    return rng.choice(NAMES) if rng.random() < 0.88 else invented_word(rng).capitalize()


def fact(rng, kind: str) -> tuple[str, str, str, str]:
    """(slot, statement, question, answer). Two facts of one slot would contradict each other."""
    if kind == "name":
        x = name(rng)
        told = rng.choice([f"My name is {x}.", f"I am {x}.", f"Call me {x}."])
        return kind, told, "What is my name?", f"Your name is {x}."
    if kind == "city":
        x = rng.choice(CITIES)
        return kind, f"I live in {x}.", "Where do I live?", f"You live in {x}."
    if kind == "job":
        x = rng.choice(JOBS)
        told = rng.choice([f"I work as a {x}.", f"My job is {x}."])
        return kind, told, "What is my job?", f"Your job is {x}."
    if kind == "favorite":
        what, values = rng.choice(
            [("color", COLORS), ("fruit", FRUITS), ("animal", ANIMALS), ("food", FOODS)]
        )
        x = rng.choice(values)
        question = f"What is my favorite {what}?"
        return what, f"My favorite {what} is {x}.", question, f"Your favorite {what} is {x}."
    if kind == "number":
        what = rng.choice(["lucky", "door", "seat"])
        x = rng.randint(1, 99)
        told = f"My {what} number is {x}."
        return what, told, f"What is my {what} number?", f"Your {what} number is {x}."
    if kind == "pet":
        what, x = rng.choice(["dog", "cat", "horse", "bird", "brother", "sister", "friend"]), name(rng)
        told = rng.choice([f"My {what} is called {x}.", f"My {what}'s name is {x}."])
        asked = rng.choice([f"What is my {what} called?", f"What is my {what}'s name?"])
        return what, told, asked, f"Your {what} is called {x}."
    if kind == "have":
        noun = rng.choice([n for n in FRUITS + OBJECTS + ANIMALS if n not in ("fish", "mouse")])
        what, x = plural(noun), rng.randint(2, 99)
        return what, f"I have {x} {what}.", f"How many {what} do I have?", f"You have {x} {what}."
    noun = rng.choice(OBJECTS)
    place = rng.choice(
        [f"in the {rng.choice(ROOMS)}", f"on the {rng.choice(FURNITURE)}",
         f"under the {rng.choice(FURNITURE)}"]
    )  # fmt: skip
    return "the " + noun, f"The {noun} is {place}.", f"Where is the {noun}?", f"The {noun} is {place}."


KINDS = ["name", "city", "job", "favorite", "number", "pet", "have", "place"]
WEIGHTS = [2, 1, 1, 3, 2, 3, 2, 4]


def generate(rng) -> Item:
    count = rng.choices([1, 2, 3, 4, 5, 6], [6, 18, 28, 24, 16, 8])[0]
    facts: dict[str, tuple[str, str, str]] = {}
    while len(facts) < count:
        slot, *rest = fact(rng, rng.choices(KINDS, WEIGHTS)[0])
        facts.setdefault(slot, tuple(rest))
    order = list(facts.values())
    messages, told = [], 0
    while told < count:
        take = min(rng.choices([1, 2, 3], [70, 22, 8])[0], count - told)
        statement = " ".join(f[0] for f in order[told : told + take])
        if messages == [] and rng.random() < 0.12:
            statement = "Remember this: " + statement
        messages += [user(statement), assistant(NOTED)]
        told += take
    asked = rng.sample(order, min(count, rng.choices([1, 2, 3], [50, 30, 20])[0]))
    for _, question, answer in asked[:-1]:
        messages += [user(loosely(rng, question)), assistant(answer)]
    _, question, answer = asked[-1]
    if len(messages) == 2 and rng.random() < 0.3:
        messages = [user(f"{messages[0]['content']} {question}")]
    else:
        messages.append(user(loosely(rng, question)))
    key = " ".join(sorted(f[0] for f in order))
    return Item("recall", messages, answer, key, {"exact": answer})


def check(data: dict, answer: str) -> bool:
    return answer.strip() == data["exact"]
