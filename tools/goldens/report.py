"""The generated part of docs/goldens.md: what the fixtures are and what they would catch.

Owns the text between the two markers and nothing outside them.
"""

import json
from pathlib import Path

from index import plan_key

BEGIN = "<!-- written by tools/goldens/make.py: begin -->"
END = "<!-- written by tools/goldens/make.py: end -->"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(map(_row, [header, ["---"] * len(header), *rows]))


def _fixture_table(entries: list[dict]) -> str:
    names = dict.fromkeys(entry["name"] for entry in entries)
    rows = []
    for name in names:
        stored = [entry for entry in entries if entry["name"] == name]
        measured = [entry["measured"] for entry in stored]
        rows.append(
            [
                f"`{name}`",
                stored[0]["covers"],
                ", ".join(entry["dtype"] for entry in stored),
                f"{min(m['attentionPeak'] for m in measured):.2f}",
                f"{max(m['transformersF32Max'] for m in measured):.1e}",
                f"{max(m['transformersF16Max'] for m in measured):.1e}",
                f"{max(m['transformersF16Rms'] for m in measured):.1e}",
            ]
        )
    header = ["fixture", "covers", "stored as", "peak", "f32 max", "f16 max", "f16 RMS"]
    return _table(header, rows)


def _mutation_table(model_type: str, entries: list[dict], mutations: dict) -> str:
    columns = [e for e in entries if e["modelType"] == model_type and e["dtype"] == "f32"]
    moved = [mutations["fixtures"][e["folder"]] for e in columns]
    rows = [
        [mistake, *(f"{m[name]['tolerances']:,.0f}" if name in m else "" for m in moved)]
        for name, mistake in mutations["mistakes"].items()
        if any(name in m for m in moved)
    ]
    return _table(["mistake", *(f"`{e['name']}`" for e in columns)], rows)


def _plan_tables(entry: dict, mutations: dict) -> list[str]:
    """The plans of one fixture, then what mistakes in reading them would do."""
    names = [plan["name"] for plan in entry["plans"]]
    moved = {name: mutations["fixtures"][plan_key(entry["folder"], name)] for name in names}
    rows = [
        [
            plan["name"],
            f"`{json.dumps(plan['plan'])}`",
            f"{plan['measured']['transformersF32Max']:.1e}",
            f"{plan['measured']['transformersF16Max']:.1e}",
            f"{gap:.1e}" if (gap := plan["measured"].get("routerGap")) else "",
        ]
        for plan in entry["plans"]
    ]
    mistakes = [
        [mistake, *(f"{m[name]['tolerances']:,.0f}" if name in m else "" for m in moved.values())]
        for name, mistake in mutations["mistakes"].items()
        if any(name in m for m in moved.values())
    ]
    return [
        f"### Layer plans of `{entry['name']}`",
        _table(["plan", "", "f32 max", "f16 max", "router gap"], rows),
        _table(["mistake", *moved], mistakes),
    ]


def generated_text(index: dict, mutations: dict) -> str:
    entries = index["fixtures"]
    versions = ", ".join(f"{name} {version}" for name, version in index["generator"].items())
    parts = [f"Generated with {versions}.", _fixture_table(entries)]
    for model_type in dict.fromkeys(entry["modelType"] for entry in entries):
        parts += [f"### {model_type}", _mutation_table(model_type, entries, mutations)]
    for entry in entries:
        if "plans" in entry:
            parts += _plan_tables(entry, mutations)
    return "\n\n".join(parts)


def with_generated(document: str, text: str) -> str:
    """The document with the part between the markers replaced."""
    before, _, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the document lacks the line {BEGIN} or {END}; put both back")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def write_report(path: Path, index: dict, mutations: dict) -> None:
    path.write_text(with_generated(path.read_text(), generated_text(index, mutations)))
