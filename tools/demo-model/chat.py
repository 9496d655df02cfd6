"""Chat text of an item: the model's own template, and the full text a model should produce."""

import json
from functools import cache
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

from item import Item

TEMPLATE = Path(__file__).with_name("chat_template.jinja")


@cache
def template():
    def refuse(message: str):
        raise ValueError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    env.globals["raise_exception"] = refuse
    return env.from_string(TEMPLATE.read_text())


def prompt_text(item: Item, enable_thinking: bool) -> str:
    return template().render(
        messages=item.messages,
        tools=item.tools,
        add_generation_prompt=True,
        enable_thinking=enable_thinking,
    )


def answer_text(item: Item, enable_thinking: bool) -> str:
    """What the model should say after the prompt, up to and without its end-of-turn token."""
    if item.think and enable_thinking:
        return f"<think>\n{item.think}\n</think>\n\n{item.answer}"
    return item.answer


def without_thinking(text: str) -> str:
    """The part of an answer that the checkers judge."""
    return text.split("</think>")[-1]
