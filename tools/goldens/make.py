"""Writes the golden fixtures of test/fixtures/goldens, or checks the ones that are there.

    python tools/goldens/make.py               write the fixtures, the mutation table and docs
    python tools/goldens/make.py NAME …        write these, keep the others byte for byte
    python tools/goldens/make.py --check       recompute everything from the committed files
    python tools/goldens/make.py --check NAME …

Owns the order of work and the comparison with what is committed. Refuses to replace anything
unless every fixture was accepted (`acceptance.py`).
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers

from acceptance import FixtureRejected, measure, require
from fixtures import FIXTURES, Fixture
from golden import F32_TOLERANCE, LOGITS_FILE, Golden, compute, read_logits, write_logits
from index import generator, index_entry, mutation_entry, write_index, write_mutations
from report import generated_text, with_generated, write_report
from weights import random_prompts, write_folder

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "test" / "fixtures" / "goldens"
DOCS = ROOT / "docs" / "goldens.md"

# Of the logits' standard deviation: float32 rounding of the stored file, and nothing more.
STORED_LOGITS_TOLERANCE = 1e-6
# Other CPUs and BLAS builds round float64 differently; the figures of a mistake hardly move.
FIGURE_TOLERANCE = 0.02


def _accepted(golden: Golden):
    measured = measure(golden)
    require(golden, measured)
    weakest = min(measured.mutations, key=lambda name: measured.mutations[name][0])
    moved = measured.mutations[weakest][0] / F32_TOLERANCE
    print(
        f"{golden.name:20} logit std {golden.std:6.3f}  attention peak "
        f"{measured.attention_peak:.2f}  weakest mutation {weakest} = {moved:.0f} tolerances",
        flush=True,
    )
    return measured


def _write_fixtures(root: Path, fixtures: list[Fixture]) -> tuple[list[dict], dict[str, dict]]:
    """Their entries of index.json, and those of mutations.json by folder."""
    entries, mutations = [], {}
    for fixture in fixtures:
        prompts = random_prompts(fixture)
        for dtype in fixture.dtypes:
            folder = root / fixture.name / dtype
            write_folder(fixture, dtype, folder)
            golden = compute(folder, prompts)
            write_logits(golden)
            measured = _accepted(golden)
            entries.append(index_entry(fixture, dtype, golden, measured))
            mutations[golden.name] = mutation_entry(measured)
    return entries, mutations


def _kept(fixtures: list[Fixture]) -> tuple[list[dict], dict[str, dict]]:
    """The committed entries of fixtures that are not written again."""
    if not fixtures:
        return [], {}
    index, mutations = _committed_json()
    if index["generator"] != generator():
        raise SystemExit(
            f"index.json was written with {index['generator']}, this is {generator()}; install "
            "tools/requirements.txt, or write all fixtures"
        )
    names = {fixture.name for fixture in fixtures}
    entries = [entry for entry in index["fixtures"] if entry["name"] in names]
    return entries, {e["folder"]: mutations["fixtures"][e["folder"]] for e in entries}


def write(fixtures: list[Fixture]) -> None:
    others = [fixture for fixture in FIXTURES if fixture not in fixtures]
    entries, mutations = _kept(others)
    GOLDENS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GOLDENS.parent) as scratch:
        fresh = Path(scratch)
        added, moved = _write_fixtures(fresh, fixtures)
        listed = {fixture.name for fixture in FIXTURES}
        stale = [p for p in GOLDENS.iterdir() if p.is_dir() and p.name not in listed]
        for folder in [*stale, *(GOLDENS / fixture.name for fixture in fixtures)]:
            shutil.rmtree(folder, ignore_errors=True)
        for fixture in fixtures:
            (fresh / fixture.name).rename(GOLDENS / fixture.name)
    order = [f"{fixture.name}/{dtype}" for fixture in FIXTURES for dtype in fixture.dtypes]
    entries = sorted([*entries, *added], key=lambda entry: order.index(entry["folder"]))
    mutations |= moved
    write_index(GOLDENS, entries)
    write_mutations(GOLDENS, {entry["folder"]: mutations[entry["folder"]] for entry in entries})
    write_report(DOCS, *_committed_json())


def _committed_json() -> tuple[dict, dict]:
    return tuple(
        json.loads((GOLDENS / file).read_text()) for file in ("index.json", "mutations.json")
    )


def _relative_files(root: Path) -> dict[str, Path]:
    return {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}


def _check_weights(fixtures: list[Fixture]) -> list[str]:
    """The committed folders against folders made again from their seeds, byte for byte."""
    with tempfile.TemporaryDirectory() as scratch:
        for fixture in fixtures:
            for dtype in fixture.dtypes:
                write_folder(fixture, dtype, Path(scratch) / fixture.name / dtype)
        expected = {k: p.read_bytes() for k, p in _relative_files(Path(scratch)).items()}
    unasked = {fixture.name for fixture in FIXTURES if fixture not in fixtures}
    found = {
        name: path.read_bytes()
        for name, path in _relative_files(GOLDENS).items()
        if "/" in name and path.name != LOGITS_FILE and name.split("/")[0] not in unasked
    }
    differing = {n for n in expected.keys() & found.keys() if expected[n] != found[n]}
    return [
        *(f"{name}: differs from what its seed gives" for name in sorted(differing)),
        *(f"{name}: missing" for name in sorted(expected.keys() - found.keys())),
        *(
            f"{name}: no fixture writes this file"
            for name in sorted(found.keys() - expected.keys())
        ),
    ]


def _check_fixture(entry: dict, committed_mutations: dict) -> list[str]:
    folder = GOLDENS / entry["folder"]
    golden = compute(folder, entry["prompts"])
    stored = read_logits(folder, entry["prompts"], entry["vocabSize"])
    problems = []
    largest, _ = golden.difference(stored)
    if not largest <= STORED_LOGITS_TOLERANCE:
        problems.append(f"{golden.name}: stored logits are off by {largest:.2g} std")
    if abs(golden.std / entry["logitStd"] - 1) > 1e-6:
        problems.append(f"{golden.name}: logitStd is {entry['logitStd']}, {golden.std} is required")
    again = mutation_entry(_accepted(golden))
    if again.keys() != committed_mutations.keys():
        problems.append(f"{golden.name}: mutations.json lists other mutations than apply")
    for name in again.keys() & committed_mutations.keys():
        a, b = again[name]["tolerances"], committed_mutations[name]["tolerances"]
        if abs(a / b - 1) > FIGURE_TOLERANCE:
            problems.append(f"{golden.name}: mutations.json says {name} = {b}, it is {a}")
    return problems


def check(fixtures: list[Fixture]) -> list[str]:
    """What does not reproduce, one line each; empty when all does."""
    index, mutations = _committed_json()
    problems = _check_weights(fixtures)
    wanted = {f"{f.name}/{dtype}" for f in FIXTURES for dtype in f.dtypes}
    listed = {entry["folder"] for entry in index["fixtures"]}
    if wanted != listed:
        problems.append(f"index.json: lists {sorted(listed ^ wanted)} too many or too few")
    names = {fixture.name for fixture in fixtures}
    for entry in index["fixtures"]:
        if entry["name"] in names:
            committed = mutations["fixtures"].get(entry["folder"], {})
            problems += _check_fixture(entry, committed)
    document = DOCS.read_text()
    if with_generated(document, generated_text(index, mutations)) != document:
        problems.append("docs/goldens.md: its tables are not those of the JSON files")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="recompute and compare, write nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="these fixtures only")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {fixture.name for fixture in FIXTURES}
    if unknown:
        parser.error(f"there is no fixture {', '.join(sorted(unknown))} in tools/goldens/fixtures")
    fixtures = [f for f in FIXTURES if not arguments.names or f.name in arguments.names]
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    try:
        problems = check(fixtures) if arguments.check else write(fixtures)
    except FixtureRejected as rejection:
        print(f"rejected: {rejection}", file=sys.stderr)
        return 1
    for problem in problems or []:
        print(problem, file=sys.stderr)
    if not problems:
        which = ", ".join(arguments.names) or "all fixtures"
        print(f"{which}: {'reproduced' if arguments.check else f'written to {GOLDENS}'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
