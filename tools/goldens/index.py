"""The two JSON files beside the fixtures, index.json and mutations.json.

Owns their schema (docs/goldens.md describes it). One fixture per line, so that diffs are readable.
"""

import json
from pathlib import Path

import numpy
import torch
import transformers

from acceptance import MUTATION_AT_LEAST, Acceptance, PlanAcceptance
from fixtures import Fixture
from golden import F16_MAX_TOLERANCE, F16_RMS_TOLERANCE, F32_TOLERANCE, LOGITS_FILE, LOGITS_SUFFIX, Golden
from layer_plans import MISTAKES, LayerPlan
from mutations import MUTATIONS

SCHEMA = 1


def _short(x: float) -> float:
    """Four digits: enough to read, few enough that another CPU writes the same file."""
    return float(f"{x:.4g}")


def index_entry(fixture: Fixture, dtype: str, golden: Golden, measured: Acceptance) -> dict:
    return {
        "name": fixture.name,
        "dtype": dtype,
        "folder": golden.name,
        "modelType": fixture.config["model_type"],
        "covers": fixture.covers,
        "vocabSize": fixture.config["vocab_size"],
        "logitStd": float(f"{golden.std:.9g}"),
        "logitsFile": f"{golden.name}/{LOGITS_FILE}",
        "prompts": golden.prompts,
        "measured": {
            "attentionPeak": _short(measured.attention_peak),
            "attentionPeakUniform": _short(measured.attention_peak_uniform),
            "transformersF32Max": _short(measured.f32_max),
            "transformersF16Max": _short(measured.f16_max),
            "transformersF16Rms": _short(measured.f16_rms),
        },
    }


def plan_file(plan: LayerPlan) -> str:
    """Of the plan's logits, beside those without a plan."""
    return f"logits-{plan.name}{LOGITS_SUFFIX}"


def plan_key(folder: str, plan: str) -> str:
    """Of the plan's mistakes in mutations.json."""
    return f"{folder} {plan}"


def mutation_keys(entry: dict) -> list[str]:
    """The entries of mutations.json that belong to one of index.json."""
    plans = entry.get("plans", [])
    return [entry["folder"], *(plan_key(entry["folder"], plan["name"]) for plan in plans)]


def plan_entry(plan: LayerPlan, by_plan: Golden, measured: PlanAcceptance) -> dict:
    gap = {} if measured.router_gap is None else {"routerGap": _short(measured.router_gap)}
    return {
        "name": plan.name,
        "plan": plan.json(),
        "logitStd": float(f"{by_plan.std:.9g}"),
        "logitsFile": f"{by_plan.name}/{plan_file(plan)}",
        "measured": {
            "transformersF32Max": _short(measured.f32_max),
            "transformersF16Max": _short(measured.f16_max),
            "transformersF16Rms": _short(measured.f16_rms),
        }
        | gap,
    }


def mutation_entry(measured: Acceptance | PlanAcceptance) -> dict:
    return {
        name: {
            "tolerances": _short(largest / F32_TOLERANCE),
            "max": _short(largest),
            "rms": _short(rms),
        }
        for name, (largest, rms) in measured.mutations.items()
    }


def _lines(entries: list[str], opening: str, closing: str) -> str:
    return opening + "\n    " + ",\n    ".join(entries) + "\n  " + closing


def generator() -> dict[str, str]:
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "numpy": numpy.__version__,
    }


def write_index(root: Path, entries: list[dict]) -> None:
    head = {
        "schema": SCHEMA,
        "generator": generator(),
        "tolerance": {
            "unit": "logitStd",
            "f32": {"max": F32_TOLERANCE},
            "f16": {"max": F16_MAX_TOLERANCE, "rms": F16_RMS_TOLERANCE},
        },
    }
    fields = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    fields.append('"fixtures": ' + _lines([json.dumps(e) for e in entries], "[", "]"))
    (root / "index.json").write_text("{\n  " + ",\n  ".join(fields) + "\n}\n")


def write_mutations(root: Path, entries: dict[str, dict]) -> None:
    mistakes = {m.name: m.mistake for m in MUTATIONS}
    mistakes |= {name: mistake for name, (mistake, _) in MISTAKES.items()}
    fixtures = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    fields = [
        f'"schema": {SCHEMA}',
        f'"requiredTolerances": {MUTATION_AT_LEAST}',
        '"mistakes": '
        + _lines([f"{json.dumps(k)}: {json.dumps(v)}" for k, v in mistakes.items()], "{", "}"),
        '"fixtures": ' + _lines(fixtures, "{", "}"),
    ]
    (root / "mutations.json").write_text("{\n  " + ",\n  ".join(fields) + "\n}\n")
