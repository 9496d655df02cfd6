"""Choose a declared tool and fill its arguments; then tell the user the tool's result.

Held out by the called tool with its arguments. Some tools are invented on the spot,
so that names and parameters must be read from the declaration.
"""

import json

from item import Item, loosely, user
from lexicon import CITIES, COLORS, DAYS, FOODS, FRUITS, NAMES, OBJECTS, ROOMS, plural

WEATHER = ["sunny", "cloudy", "windy", "cold", "warm", "rainy"]
THINGS = [plural(noun) for noun in FRUITS + OBJECTS]

# name: (description, {parameter: values}, requests, {result key: values}, final answer)
TOOLS = {
    "get_weather": (
        "Get the weather in a city.", {"city": CITIES},
        ["What is the weather in {city}?", "How is the weather in {city}?",
         "Tell me the weather in {city}."],
        {"weather": WEATHER, "degrees": range(0, 40)},
        "It is {weather} in {city}, {degrees} degrees."),
    "get_time": (
        "Get the time in a city.", {"city": CITIES},
        ["What time is it in {city}?", "Tell me the time in {city}."],
        {"time": [f"{h}:{m:02}" for h in range(24) for m in range(0, 60, 5)]},
        "It is {time} in {city}."),
    "set_timer": (
        "Set a timer.", {"minutes": range(1, 100)},
        ["Set a timer for {minutes} minutes.", "Start a timer of {minutes} minutes.",
         "Wake me in {minutes} minutes."],
        {"status": ["ok"]}, "The timer is set for {minutes} minutes."),
    "set_light": (
        "Set the light in a room.", {"room": ROOMS, "color": COLORS},
        ["Make the light in the {room} {color}.", "Set the {room} light to {color}.",
         "Turn the light in the {room} {color}."],
        {"status": ["ok"]}, "The light in the {room} is {color} now."),
    "find_item": (
        "Find an item at home.", {"item": OBJECTS},
        ["Where is my {item}?", "Find my {item}.", "I lost my {item}. Where is it?"],
        {"room": ROOMS}, "Your {item} is in the {room}."),
    "buy": (
        "Buy some things.", {"item": THINGS + FOODS, "count": range(1, 100)},
        ["Buy {count} {item}.", "I need {count} {item}.", "Order {count} {item}."],
        {"price": range(1, 100)}, "I bought {count} {item} for {price} dollars."),
    "send_message": (
        "Send a message.", {"to": NAMES, "text": ["hello", "good night", "see you soon",
                            "happy birthday", "I am late", "call me", "thank you"]},
        ["Tell {to}: {text}", "Send {to} the message {text}.", "Write to {to}: {text}"],
        {"status": ["ok"]}, "I sent the message to {to}."),
    "book_table": (
        "Book a table.", {"people": range(1, 20), "day": DAYS},
        ["Book a table for {people} on {day}.", "I want a table for {people} people on {day}.",
         "Book a table on {day} for {people} people."],
        {"status": ["ok"]}, "Your table for {people} on {day} is booked."),
    "call": (
        "Call a person.", {"name": NAMES},
        ["Call {name}.", "I want to talk to {name}.", "Ring {name} now."],
        {"status": ["busy", "ok", "no answer"]}, "I called {name}: {status}."),
}  # fmt: skip


def declaration(name: str, description: str, parameters: dict) -> dict:
    properties = {
        key: {"type": "integer" if isinstance(values, range) else "string"}
        for key, values in parameters.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def invented_tool(rng) -> tuple[str, tuple]:
    verb = rng.choice(["count", "draw", "hide", "move", "open", "paint", "show", "wash"])
    noun = rng.choice(OBJECTS + FRUITS)
    pool = {"color": COLORS, "count": range(1, 100), "room": ROOMS, "name": NAMES, "day": DAYS,
            "size": range(1, 100), "city": CITIES}  # fmt: skip
    parameters = {key: pool[key] for key in rng.sample(list(pool), rng.choice([1, 2, 2]))}
    asked = " and ".join(f"{key} {{{key}}}" for key in parameters)
    requests = [f"{verb.capitalize()} the {noun} with {asked}.", f"Use {verb}_{noun} with {asked}."]
    body = (f"{verb.capitalize()} the {noun}.", parameters, requests, {"status": ["ok"]},
            f"Done: {verb} the {noun}.")  # fmt: skip
    return f"{verb}_{noun}", body


def call_text(name: str, arguments: dict) -> str:
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"


def generate(rng) -> Item:
    names = rng.sample(list(TOOLS), rng.choices([1, 2, 3], [40, 40, 20])[0])
    offered = [(name, TOOLS[name]) for name in names]
    if rng.random() < 0.35:
        offered[rng.randrange(len(offered))] = invented_tool(rng)
    name, (_, parameters, requests, results, final) = rng.choice(offered)
    tools = [declaration(n, body[0], body[1]) for n, body in offered]
    arguments = {key: rng.choice(values) for key, values in parameters.items()}
    request = loosely(rng, rng.choice(requests).format(**arguments))
    key = f"{name} {json.dumps(arguments)}"
    messages = [user(request)]
    if rng.random() < 0.6:
        call = {"name": name, "arguments": arguments}
        return Item("tool", messages, call_text(name, arguments), key, {"toolCall": call},
                    tools=tools, tags=["call"])  # fmt: skip
    result = {key: rng.choice(values) for key, values in results.items()}
    function = {"name": name, "arguments": arguments}
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]},
        {"role": "tool", "content": json.dumps(result)},
    ]
    answer = final.format(**arguments, **result)
    return Item("tool", messages, answer, key, {"exact": answer}, tools=tools, tags=["result"])


def check(data: dict, answer: str) -> bool:
    if "exact" in data:
        return answer.strip() == data["exact"]
    start, end = "<tool_call>", "</tool_call>"
    text = answer.strip()
    if not text.startswith(start) or not text.endswith(end):
        return False
    try:
        call = json.loads(text[len(start) : -len(end)])
    except ValueError:
        return False
    return json.dumps(call, sort_keys=True) == json.dumps(data["toolCall"], sort_keys=True)
