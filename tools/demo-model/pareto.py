"""Tables of what compare.py measured: every way by cost, ways of equal cost side by side, tasks.

Writes one file of all models' ways, and puts the tables into a document. Measures nothing.
Usage: python pareto.py FILE … --json FILE [--document FILE]
"""

import argparse
import json
from pathlib import Path

from compare import difference, unpacked
from evaluate import replace_between
from torch import Tensor

# Sublayers that ways beside each other run, by model: the default plan's, and the routers'.
EQUAL = {"demo": [17, 14]}
COST = "way | sublayers | bytes | mean of six tasks | beside the whole model, 95 %"


def name(way: dict) -> str:
    plan = f"`{json.dumps(way['plan'])}`" if way["plan"] else way["way"]
    return f"{plan}, {way['way']}" if way["rank"] else plan


def signed(points: float, low: float, high: float) -> str:
    return ", ".join([f"{points:.2f}", f"{low:.2f} to {high:.2f}"]).replace("-", "−")


def less(way: dict) -> str:
    whole = way["lessWhole"]
    return "" if way["plan"] == {} else signed(whole["points"], whole["low"], whole["high"])


def on_frontier(way: dict, ways: list[dict]) -> bool:
    """Whether no other reads as few bytes or fewer and is right as often or oftener."""

    def beats(other: dict) -> bool:
        cheaper = way["bytesShare"] - other["bytesShare"]
        better = other["meanAccuracy"] - way["meanAccuracy"]
        return cheaper >= 0 and better >= 0 and cheaper + better > 0

    return not any(map(beats, ways))


def cost(way: dict) -> str:
    return f"{way['sublayersExecuted']:.4g} | {way['bytesShare']:.1%} | {way['meanAccuracy']:.2%}"


def by_cost(ways: list[dict]) -> str:
    lines = [f"| {COST} | best |", "|---|---:|---:|---:|---:|---|"]
    for way in ways:
        best = "yes" if on_frontier(way, ways) else ""
        lines.append(f"| {name(way)} | {cost(way)} | {less(way)} | {best} |")
    return "\n".join(lines)


def marks(way: dict) -> list[Tensor]:
    return [unpacked(task["marks"], task["total"]) for task in way["tasks"]]


def at_equal_cost(ways: list[dict], sizes: list[int]) -> str:
    """The whole model, then all that run about so many sublayers, best first, each beside the best static
    plan of these."""
    lines = [f"| {COST} | beside the static plan, 95 % |", "|---|---:|---:|---:|---:|---:|"]
    lines += [f"| {name(way)} | {cost(way)} | | |" for way in ways if way["plan"] == {}]
    for size in sizes:
        equal = [way for way in ways if round(way["sublayersExecuted"]) == size]
        equal.sort(key=lambda way: -way["meanAccuracy"])
        best = next(way for way in equal if way["way"] == "static")
        for way in equal:
            beside = difference(marks(way), marks(best)).values()
            last = "" if way is best else signed(*beside)
            lines.append(f"| {name(way)} | {cost(way)} | {less(way)} | {last} |")
    return "\n".join(lines)


def by_task(ways: list[dict]) -> str:
    titles = [task["name"].replace(", without", ", no") for task in ways[0]["tasks"]]
    lines = [f"| way | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    for way in ways:
        shares = " | ".join(f"{100 * task['accuracy']:.1f}" for task in way["tasks"])
        lines.append(f"| {name(way)} | {shares} |")
    return "\n".join(lines)


def row(way: dict, ways: list[dict]) -> dict:
    keys = ("way", "plan", "rank", "sublayersExecuted", "sublayers", "bytesRead", "bytesShare")
    content = {key: way[key] for key in (*keys, "meanAccuracy", "lessWhole")}
    return content | {"pareto": on_frontier(way, ways)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+", help="of compare.py")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--document", type=Path, help="whose tables are replaced")
    args = parser.parse_args()
    models = []
    for file in args.files:
        content = json.loads(file.read_text())
        model = Path(content["model"])
        ways = sorted(content["ways"], key=lambda way: -way["bytesShare"])
        rows = [row(way, ways) for way in ways]
        models.append({"model": str(model), "from": file.name, "ways": rows})
        tables = {"pareto": by_cost(ways), "tasks": by_task(ways)}
        if model.name in EQUAL:
            tables["equal-cost"] = at_equal_cost(ways, EQUAL[model.name])
        for mark, table in tables.items():
            print(table)
            if args.document:
                replace_between(args.document, mark, model, table)
    args.json.write_text(json.dumps({"models": models}, indent=1) + "\n")


if __name__ == "__main__":
    main()
