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

from acceptance import (
    FixtureRejected,
    PlanAcceptance,
    measure,
    measure_plan,
    require,
    require_clear,
)
from fixtures import FIXTURES, Fixture
from golden import F32_TOLERANCE, LOGITS_SUFFIX, Golden, compute, read_logits, write_logits
from index import (
    generator,
    index_entry,
    mutation_entry,
    mutation_keys,
    plan_entry,
    plan_file,
    plan_key,
    write_index,
    write_mutations,
)
from layer_plans import LayerPlan, planned, plans_of
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


def _accepted_plan(golden: Golden, plan: LayerPlan) -> tuple[Golden, PlanAcceptance]:
    by_plan = planned(golden, plan)
    measured = measure_plan(golden, plan, by_plan)
    require_clear(plan_key(golden.name, plan.name), measured)
    return by_plan, measured


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
            entry = index_entry(fixture, dtype, golden, measured)
            mutations[golden.name] = mutation_entry(measured)
            if fixture.plans:
                entry["plans"], moved = _write_plans(golden)
                mutations |= moved
            entries.append(entry)
    return entries, mutations


def _write_plans(golden: Golden) -> tuple[list[dict], dict[str, dict]]:
    """What the plans add to the fixture's entry, and their mistakes by folder and name."""
    entries, mutations = [], {}
    for plan in plans_of(golden.model.config.num_hidden_layers):
        by_plan, measured = _accepted_plan(golden, plan)
        write_logits(by_plan, plan_file(plan))
        entries.append(plan_entry(plan, by_plan, measured))
        mutations[plan_key(golden.name, plan.name)] = mutation_entry(measured)
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
    return entries, {key: mutations["fixtures"][key] for e in entries for key in mutation_keys(e)}


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
    write_mutations(GOLDENS, {key: mutations[key] for e in entries for key in mutation_keys(e)})
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
        if "/" in name and path.suffix != LOGITS_SUFFIX and name.split("/")[0] not in unasked
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


def _check_logits(name: str, golden: Golden, stored: list, std: float) -> list[str]:
    problems = []
    largest, _ = golden.difference(stored)
    if not largest <= STORED_LOGITS_TOLERANCE:
        problems.append(f"{name}: stored logits are off by {largest:.2g} std")
    if abs(golden.std / std - 1) > 1e-6:
        problems.append(f"{name}: logitStd is {std}, {golden.std} is required")
    return problems


def _check_mutations(name: str, again: dict, committed: dict) -> list[str]:
    if again.keys() != committed.keys():
        return [f"{name}: mutations.json lists other mutations than apply"]
    problems = []
    for mutation, figures in again.items():
        a, b = figures["tolerances"], committed[mutation]["tolerances"]
        if abs(a / b - 1) > FIGURE_TOLERANCE:
            problems.append(f"{name}: mutations.json says {mutation} = {b}, it is {a}")
    return problems


def _check_plan(golden: Golden, plan: LayerPlan, vocab_size: int, stored: dict, mutations: dict):
    name = plan_key(golden.name, plan.name)
    by_plan, measured = _accepted_plan(golden, plan)
    logits = read_logits(golden.folder, golden.prompts, vocab_size, plan_file(plan))
    problems = _check_logits(name, by_plan, logits, stored["logitStd"])
    if plan.json() != stored["plan"]:
        problems.append(f"{name}: index.json says {stored['plan']}, it is {plan.json()}")
    return problems + _check_mutations(name, mutation_entry(measured), mutations.get(name, {}))


def _check_fixture(entry: dict, mutations: dict) -> list[str]:
    folder = GOLDENS / entry["folder"]
    golden = compute(folder, entry["prompts"])
    stored = read_logits(folder, entry["prompts"], entry["vocabSize"])
    problems = _check_logits(golden.name, golden, stored, entry["logitStd"])
    again = mutation_entry(_accepted(golden))
    problems += _check_mutations(golden.name, again, mutations.get(golden.name, {}))
    plans = {plan.name: plan for plan in plans_of(golden.model.config.num_hidden_layers)}
    for plan in entry.get("plans", []):
        if plan["name"] in plans:
            which = plans[plan["name"]]
            problems += _check_plan(golden, which, entry["vocabSize"], plan, mutations)
        else:
            problems.append(f"{golden.name}: index.json has an unknown plan {plan['name']}")
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
            problems += _check_fixture(entry, mutations["fixtures"])
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
