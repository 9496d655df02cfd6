"""Low-rank forecasts in place of skipped sublayers of a demo model.

Where a plan skips a sublayer that adds Δ to the residual stream x, a forecast adds n·A·B, n being the
normalised x that the sublayer would have read. A and B come in closed form from texts of the training
tasks, with the sublayers before already skipped or forecast: ridge regression, cut to a rank where it
costs least (in the metric of n). What they are worth: compare.py.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from layer_plans import add_sublayer, normalised
from model import DemoModel, Forecast
from planned import LayerPlan
from taught import Taught, divergence, log_probabilities, taught
from torch import Tensor

FORECAST_SEED = 50_000
FITTED, CHECKED = 40, 50  # training items per task that are fitted, held-out ones that are checked
RIDGE = 1e-3  # of the mean of the diagonal


def fitted(inputs: Tensor, deltas: Tensor, rank: int) -> Forecast:
    """A [D, rank] and B [rank, D], Δ ≈ n·A·B, from rows n and Δ [N, D]: least ‖n·A·B − Δ‖² after the
    ridge.

    With G = nᵀn + λ and its Cholesky factor L·Lᵀ, the error of W is that of Lᵀ·W against L⁻¹·nᵀΔ but for a
    constant, so the best W of a rank is that matrix's singular vectors."""
    inputs, deltas = inputs.double(), deltas.double()
    gram = inputs.T @ inputs
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    factor = torch.linalg.cholesky(gram)
    target = torch.linalg.solve_triangular(factor, inputs.T @ deltas, upper=False)
    u, s, v = torch.linalg.svd(target)
    first = torch.linalg.solve_triangular(factor.T, u[:, :rank] * s[:rank], upper=True)
    return first.float(), v[:rank].float()


@dataclass
class Fit:
    """Forecasts by sublayer, with what they leave on held-out items: the squared error of each as a
    share of Δ's square, and the mean KL to the whole model per token of the answer; `skipped_kl` is that
    of skipping alone."""

    forecasts: dict[int, Forecast]
    errors: dict[int, float]
    kl: float
    skipped_kl: float

    def plain(self) -> dict:
        errors = {str(at): error for at, error in self.errors.items()}
        return {"kl": self.kl, "klSkipped": self.skipped_kl, "relativeError": errors}


@torch.inference_mode()
def fit(model: DemoModel, text: Taught, check: Taught, removed: list[int], rank: int) -> Fit:
    """On `text`, the sublayers in order; measured on `check`."""
    made, errors = {}, {}
    x, start = model.model.embed_tokens(text.ids), model.model.embed_tokens(check.ids)
    y = whole = skipped = start
    for sublayer in range(2 * len(model.model.layers)):
        after, wanted = (add_sublayer(model, h, sublayer, t) for h, t in ((x, text), (y, check)))
        whole = add_sublayer(model, whole, sublayer, check)
        if sublayer in removed:
            read, asked = normalised(model, x, sublayer), normalised(model, y, sublayer)
            made[sublayer] = first, second = fitted(read, after - x, rank)
            forecast = asked @ first @ second
            off = (wanted - y - forecast).square().sum() / (wanted - y).square().sum()
            errors[sublayer] = float(off)
            x, y = x + read @ first @ second, y + forecast
        else:
            x, y, skipped = after, wanted, add_sublayer(model, skipped, sublayer, check)
    told = [log_probabilities(model, hidden, check) for hidden in (whole, y, skipped)]
    kl, skipped_kl = (float(divergence(told[0], other, check).mean()) for other in told[1:])
    return Fit(made, errors, kl, skipped_kl)


def fits(folder: Path, model: DemoModel, plan: LayerPlan, ranks: list[int]) -> dict[int, Fit]:
    """By rank."""
    text = taught(folder, FORECAST_SEED, FITTED, held_out=False)
    check = taught(folder, FORECAST_SEED, CHECKED, held_out=True)
    return {rank: fit(model, text, check, plan.skipped(), rank) for rank in ranks}
