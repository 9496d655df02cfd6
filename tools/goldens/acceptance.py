"""Decides whether a fixture is worth testing against.

Owns the four conditions: attention is peaked, plain float32 and plain f16 arithmetic keep well
inside their tolerances, and every applicable mistake shows. Refuses a fixture by raising
`FixtureRejected`.
"""

import dataclasses

import torch

from float64 import attention_float64, load, logits_float64
from golden import F16_MAX_TOLERANCE, F16_RMS_TOLERANCE, F32_TOLERANCE, Golden
from layer_plans import LayerPlan, logits_as_stored, mistaken, router_gap
from mutation import mutated
from mutations import MUTATIONS

PEAKED_AT_LEAST = 0.5
MUTATION_AT_LEAST = 10.0
F32_NOISE_AT_MOST = 0.5
F16_NOISE_AT_MOST = 0.7
# Early positions see few keys and are peaked whatever the weights are.
PEAKED_FROM_POSITION = 16


class FixtureRejected(Exception):
    """The figure that was missed, and its limit."""


@dataclasses.dataclass(frozen=True)
class Acceptance:
    """Figures that were measured; maxima and RMS are in standard deviations of the logits."""

    attention_peak: float
    attention_peak_uniform: float
    f32_max: float
    f16_max: float
    f16_rms: float
    mutations: dict[str, tuple[float, float]]


def _attention_peak(golden: Golden) -> tuple[float, float]:
    """Mean of the largest attention probability, and what equal weights would give."""
    layers = attention_float64(golden.model, max(golden.prompts, key=len))
    probabilities = torch.stack(layers)[:, :, PEAKED_FROM_POSITION:]
    seen = (probabilities > 0).sum(-1)
    return float(probabilities.amax(-1).mean()), float((1 / seen).mean())


def _logits_as_stored(golden: Golden, dtype: torch.dtype) -> list[torch.Tensor]:
    """transformers as people run it: weights and activations of `dtype`, float32 islands."""
    model = load(golden.folder, dtype)
    with torch.no_grad():
        return [model(torch.tensor([ids]), use_cache=False).logits[0] for ids in golden.prompts]


def _mutation_table(golden: Golden) -> dict[str, tuple[float, float]]:
    table = {}
    for mutation in MUTATIONS:
        if mutation.applies(golden.model):
            with mutated(golden.model, mutation) as model:
                logits = [logits_float64(model, ids) for ids in golden.prompts]
            table[mutation.name] = golden.difference(logits)
    return table


@dataclasses.dataclass(frozen=True)
class PlanAcceptance:
    """The same of a layer plan; of a sparse model also the least gap of a router's choice."""

    f32_max: float
    f16_max: float
    f16_rms: float
    mutations: dict[str, tuple[float, float]]
    router_gap: float | None


def measure_plan(golden: Golden, plan: LayerPlan, by_plan: Golden) -> PlanAcceptance:
    """`golden` is the model without a plan, `by_plan` the same by the plan."""
    f32_max, _ = by_plan.difference(logits_as_stored(golden, plan, torch.float32))
    f16_max, f16_rms = by_plan.difference(logits_as_stored(golden, plan, torch.float16))
    mistakes = mistaken(golden, plan, by_plan)
    return PlanAcceptance(f32_max, f16_max, f16_rms, mistakes, router_gap(by_plan))


def measure(golden: Golden) -> Acceptance:
    f32_max, _ = golden.difference(_logits_as_stored(golden, torch.float32))
    f16_max, f16_rms = golden.difference(_logits_as_stored(golden, torch.float16))
    return Acceptance(*_attention_peak(golden), f32_max, f16_max, f16_rms, _mutation_table(golden))


def _limit(name: str, ok: bool, what: str, value: float, bound: str) -> None:
    if not ok:
        raise FixtureRejected(f"{name}: {what} is {value:.3g}, {bound} is required")


def require(golden: Golden, measured: Acceptance) -> None:
    """@raises FixtureRejected naming the folder, the figure and the limit."""
    peak = measured.attention_peak
    ok = peak >= PEAKED_AT_LEAST
    _limit(golden.name, ok, "mean attention peak", peak, f">= {PEAKED_AT_LEAST}")
    require_clear(golden.name, measured)


def require_clear(name: str, measured: Acceptance | PlanAcceptance) -> None:
    """What is asked of each plan too. @raises FixtureRejected naming it, the figure and the limit."""
    noise = measured.f32_max / F32_TOLERANCE
    ok = noise <= F32_NOISE_AT_MOST
    _limit(name, ok, "float32 noise / tolerance", noise, f"<= {F32_NOISE_AT_MOST}")
    noise = max(measured.f16_max / F16_MAX_TOLERANCE, measured.f16_rms / F16_RMS_TOLERANCE)
    ok = noise <= F16_NOISE_AT_MOST
    _limit(name, ok, "f16 noise / tolerance", noise, f"<= {F16_NOISE_AT_MOST}")
    for mutation, (moved, _) in measured.mutations.items():
        ratio = moved / F32_TOLERANCE
        what = f"mutation {mutation} / tolerance"
        _limit(name, ratio >= MUTATION_AT_LEAST, what, ratio, f">= {MUTATION_AT_LEAST}")
        seen = moved / F16_MAX_TOLERANCE
        _limit(name, seen > 1, f"mutation {mutation} / f16 tolerance", seen, "> 1")
