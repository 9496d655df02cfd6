"""A JSON object for a small random schema, its values told in the prompt.

Held out by the fields with their values. The object follows the schema's order of keys; values
that the schema does not name are left out.
"""

import json

from item import Item, user
from lexicon import ANIMALS, CITIES, COLORS, FOODS, FRUITS, JOBS, NAMES, OBJECTS, invented_word

STRINGS = {
    "name": NAMES, "city": CITIES, "color": COLORS, "animal": ANIMALS, "fruit": FRUITS,
    "job": JOBS, "item": OBJECTS, "food": FOODS, "friend": NAMES,
}  # fmt: skip
INTEGERS = ["age", "count", "size", "score", "floor", "price"]
BOOLEANS = ["active", "open", "new", "paid"]
ARRAYS = {"colors": COLORS, "fruits": FRUITS, "pets": ANIMALS, "items": OBJECTS}
ASK = ["Write JSON for this schema:", "Return JSON for the schema", "Answer in JSON with this schema:",
       "Make a JSON object for this schema:", "Fill in this JSON schema:", "Schema:"]  # fmt: skip
ASK_KEYS = ["Write JSON with the keys {keys}.", "Return a JSON object with {keys}.",
            "Make JSON with the fields {keys}."]  # fmt: skip


def field(rng) -> tuple[str, object]:
    kind = rng.choices(["string", "integer", "boolean", "array"], [48, 28, 14, 10])[0]
    if kind == "string":
        key = rng.choice(list(STRINGS))
        if rng.random() < 0.1:
            return key, invented_word(rng).capitalize() if key == "name" else invented_word(rng)
        return key, rng.choice(STRINGS[key])
    if kind == "integer":
        return rng.choice(INTEGERS), rng.randint(0, 99)
    if kind == "boolean":
        return rng.choice(BOOLEANS), rng.random() < 0.5
    key = rng.choice(list(ARRAYS))
    return key, rng.sample(ARRAYS[key], rng.choice([1, 2, 2, 3]))


def spoken(rng, value: object) -> str:
    if isinstance(value, bool):
        return rng.choice(["true", "yes"] if value else ["false", "no"])
    if isinstance(value, list):
        return " and ".join([", ".join(value[:-1]), value[-1]] if len(value) > 1 else value)
    return str(value)


def told(rng, values: dict) -> str:
    """The values as prose, in an order of their own."""
    pairs = [(key, spoken(rng, value), isinstance(value, list)) for key, value in values.items()]
    if rng.random() < 0.6:
        rng.shuffle(pairs)
    style = rng.randrange(4)
    if style == 0:
        return "\n".join(f"{key}: {value}" for key, value, _ in pairs)
    if style == 1:
        return ", ".join(f"{key} {'are' if many else 'is'} {value}" for key, value, many in pairs)
    if style == 2:
        return " ".join(f"The {k} {'are' if many else 'is'} {v}." for k, v, many in pairs)
    return "; ".join(f"{key} = {value}" for key, value, _ in pairs)


def described(value: object) -> dict:
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "string"}}
    return {"type": {str: "string", int: "integer", bool: "boolean"}[type(value)]}


def schema(rng, values: dict) -> str:
    body: dict = {"type": "object", "properties": {k: described(v) for k, v in values.items()}}
    if rng.random() < 0.35:
        body["required"] = list(values)
    return json.dumps(body)


def generate(rng) -> Item:
    count = rng.choices([1, 2, 3, 4], [10, 32, 36, 22])[0]
    values: dict = {}
    while len(values) < count:
        values.setdefault(*field(rng))
    extra = dict(values)
    if rng.random() < 0.2:
        extra.setdefault(*field(rng))
    text = told(rng, extra)
    if rng.random() < 0.7:
        ask = f"{rng.choice(ASK)} {schema(rng, values)}"
    else:
        keys = list(values)
        listed = " and ".join([", ".join(keys[:-1]), keys[-1]] if len(keys) > 1 else keys)
        ask = rng.choice(ASK_KEYS).format(keys=listed)
    separator = rng.choice(["\n", "\n", " "])
    content = f"{text}{separator}{ask}" if rng.random() < 0.3 else f"{ask}{separator}{text}"
    answer = json.dumps(values)
    key = json.dumps(values, sort_keys=True)
    return Item("json", [user(content)], answer, key, {"json": values})


def check(data: dict, answer: str) -> bool:
    try:
        return json.dumps(json.loads(answer), sort_keys=True) == json.dumps(
            data["json"], sort_keys=True
        )
    except ValueError:
        return False
