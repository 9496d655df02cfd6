"""The tasks by name. Each module has `generate(rng) -> Item` and `check(data, answer) -> bool`."""

from . import arithmetic, json_object, recall, small_talk, sorting, story, tool_call

TASKS = {
    "story": story,
    "arithmetic": arithmetic,
    "sorting": sorting,
    "recall": recall,
    "json": json_object,
    "tool": tool_call,
}
SMALL_TALK = small_talk
