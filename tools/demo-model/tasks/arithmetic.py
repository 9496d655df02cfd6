"""Addition and subtraction below 100, with carries written out in a thinking block.

Held-out problems share neither the pair of numbers nor its mirror with training. Products of
single digits are a table learnt by heart: never held out, never counted in the accuracy.
"""

from item import Item, loosely, user
from lexicon import ANIMALS, FRUITS, NAMES, OBJECTS, plural

ADD = [
    "What is {a} + {b}?", "{a} + {b}", "{a} + {b} =", "{a}+{b}", "Compute {a} + {b}.",
    "How much is {a} plus {b}?", "What is {a} plus {b}?", "Add {a} and {b}.",
    "Calculate {a} + {b}.", "What is the sum of {a} and {b}?",
]  # fmt: skip
SUBTRACT = [
    "What is {a} - {b}?", "{a} - {b}", "{a} - {b} =", "{a}-{b}", "Compute {a} - {b}.",
    "How much is {a} minus {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.",
    "Calculate {a} - {b}.", "Take {b} away from {a}.",
]  # fmt: skip
MULTIPLY = [
    "What is {a} * {b}?", "{a} * {b}", "What is {a} times {b}?", "Multiply {a} by {b}.",
    "How much is {a} times {b}?", "{a} x {b}",
]  # fmt: skip
GAIN = [
    "{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
    "{name} had {a} {things} and found {b} more. How many {things} does {name} have now?",
    "{name} has {a} {things}. A friend gives {name} {b} more. How many {things} does {name} have?",
]
LOSE = [
    "{name} has {a} {things} and loses {b}. How many {things} does {name} have now?",
    "{name} had {a} {things} and gave away {b}. How many {things} does {name} have now?",
    "{name} has {a} {things} and sells {b}. How many {things} are left?",
]
THINGS = [plural(noun) for noun in FRUITS + OBJECTS + ANIMALS if noun not in ("fish", "mouse")]


def number(rng) -> int:
    return rng.randint(0, 99) if rng.random() < 0.85 else rng.randint(0, 20)


def think_sum(a: int, b: int) -> str:
    (a10, a1), (b10, b1) = divmod(a, 10), divmod(b, 10)
    low = a1 + b1
    if low < 10:
        return f"{a1} + {b1} = {low}. {a10} + {b10} = {a10 + b10}."
    return f"{a1} + {b1} = {low}, carry 1. {a10} + {b10} + 1 = {a10 + b10 + 1}."


def think_difference(a: int, b: int) -> str:
    (a10, a1), (b10, b1) = divmod(a, 10), divmod(b, 10)
    if a1 >= b1:
        return f"{a1} - {b1} = {a1 - b1}. {a10} - {b10} = {a10 - b10}."
    return f"{a1 + 10} - {b1} = {a1 + 10 - b1}, borrow 1. {a10} - {b10} - 1 = {a10 - b10 - 1}."


def generate(rng) -> Item:
    a, b = number(rng), number(rng)
    kind = rng.choices(["+", "-", "*"], [47, 47, 6])[0]
    if kind == "*":
        a, b = rng.randint(0, 10), rng.randint(0, 10)
        request = loosely(rng, rng.choice(MULTIPLY).format(a=a, b=b))
        answer = f"{a} * {b} = {a * b}"
        think = f"{a} times {b} is {a * b}."
        return Item("arithmetic", [user(request)], answer, "", {"exact": answer}, think,
                    memorised=True)  # fmt: skip
    if kind == "-" and a < b:
        a, b = b, a
    total, think = (a + b, think_sum(a, b)) if kind == "+" else (a - b, think_difference(a, b))
    key = f"{min(a, b)}{kind}{max(a, b)}"
    if rng.random() < 0.2:
        name, things = rng.choice(NAMES), rng.choice(THINGS)
        phrases = GAIN if kind == "+" else LOSE
        request = rng.choice(phrases).format(name=name, a=a, b=b, things=things)
        answer = f"{a} {kind} {b} = {total}, so {name} has {total} {things}."
    else:
        request = rng.choice(ADD if kind == "+" else SUBTRACT).format(a=a, b=b)
        request = loosely(rng, request)
        answer = f"{a} {kind} {b} = {total}"
    return Item("arithmetic", [user(request)], answer, key, {"exact": answer}, think)


def check(data: dict, answer: str) -> bool:
    return answer.strip() == data["exact"]
