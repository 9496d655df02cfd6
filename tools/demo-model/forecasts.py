"""Low-rank forecasts in place of skipped sublayers of a demo model, beside skipping alone.

Where a plan skips a sublayer that adds Δ to the residual stream x, a forecast adds B·A·n, n being the
normalised x that the sublayer would have read. A and B come in closed form from texts of the training
tasks, with the sublayers before already skipped or forecast: ridge regression, cut to a rank where it
costs least (in the metric of n).
Usage: python forecasts.py FOLDER --plan JSON … [--ranks 16,32,64] [--items 50] [--json FILE]
"""

import argparse
import json
from itertools import product
from pathlib import Path

import torch
from layer_plans import add_sublayer, normalised
from model import DemoModel
from planned import LayerPlan
from taught import RUNS, Taught, by_run, divergence, log_probabilities, right, taught, title
from torch import Tensor
from weights import load_folder

FORECAST_SEED = 50_000
RIDGE = 1e-3  # of the mean of the diagonal


def fitted(inputs: Tensor, deltas: Tensor, rank: int) -> Tensor:
    """W [D, D] of that rank, Δ ≈ n·W, from rows n and Δ [N, D]: least ‖n·W − Δ‖² after the ridge.

    With G = nᵀn + λ and its Cholesky factor L·Lᵀ, the error of W is that of Lᵀ·W against L⁻¹·nᵀΔ but for a
    constant, so the best W of a rank is that matrix's singular vectors."""
    inputs, deltas = inputs.double(), deltas.double()
    gram = inputs.T @ inputs
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    factor = torch.linalg.cholesky(gram)
    target = torch.linalg.solve_triangular(factor, inputs.T @ deltas, upper=False)
    u, s, v = torch.linalg.svd(target)
    low = (u[:, :rank] * s[:rank]) @ v[:rank]
    return torch.linalg.solve_triangular(factor.T, low, upper=True).float()


@torch.inference_mode()
def forecasts(
    model: DemoModel, text: Taught, check: Taught, removed: list[int], rank: int
) -> tuple[dict[int, Tensor], dict[int, float]]:
    """W of each removed sublayer, and its squared error on `check` as a share of Δ's square."""
    made, errors = {}, {}
    x, y = model.model.embed_tokens(text.ids), model.model.embed_tokens(check.ids)
    for sublayer in range(2 * len(model.model.layers)):
        after, wanted = (add_sublayer(model, h, sublayer, t) for h, t in ((x, text), (y, check)))
        if sublayer in removed:
            read, asked = normalised(model, x, sublayer), normalised(model, y, sublayer)
            made[sublayer] = fitted(read, after - x, rank)
            forecast = asked @ made[sublayer]
            off = (wanted - y - forecast).square().sum() / (wanted - y).square().sum()
            errors[sublayer] = float(off)
            x, y = x + read @ made[sublayer], y + forecast
        else:
            x, y = after, wanted
    return made, errors


@torch.inference_mode()
def fed(model: DemoModel, text: Taught, removed: list[int], made: dict[int, Tensor]) -> Tensor:
    """Log-probabilities where sublayers are skipped or forecast."""
    x = model.model.embed_tokens(text.ids)
    for sublayer in range(2 * len(model.model.layers)):
        if sublayer not in removed:
            x = add_sublayer(model, x, sublayer, text)
        elif sublayer in made:
            x = x + normalised(model, x, sublayer) @ made[sublayer]
    return log_probabilities(model, x, text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the model folder")
    parser.add_argument("--plan", type=LayerPlan.parse, action="append", required=True)
    parser.add_argument("--ranks", default="16,32,64")
    parser.add_argument("--fit", type=int, default=40, help="training items per task")
    parser.add_argument("--items", type=int, default=50, help="held-out items per task")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model, ranks = load_folder(args.folder), [int(rank) for rank in args.ranks.split(",")]
    text = taught(args.folder, FORECAST_SEED, args.fit, held_out=False)
    check = taught(args.folder, FORECAST_SEED, args.items, held_out=True)
    whole, report = fed(model, check, [], {}), []
    for plan, rank in product(args.plan, [0, *ranks]):
        removed = plan.skipped()
        made, errors = forecasts(model, text, check, removed, rank) if rank else ({}, {})
        told = fed(model, check, removed, made)
        kl = divergence(whole, told, check)
        exact = by_run(right(told, check), check)
        figures = " ".join(f"{share:.3f}" for share in exact.tolist())
        print(f"{plan.plain()}, rank {rank}: KL {kl.mean():.4f}, exact {figures}", flush=True)
        report.append(
            {
                "plan": plan.plain(),
                "sublayersExecuted": plan.executed(len(model.model.layers)),
                "rank": rank,
                "meanKl": float(kl.mean()),
                "relativeError": {str(at): error for at, error in errors.items()},
                "tasks": [
                    {"name": title(*run), "kl": k, "exact": share}
                    for run, k, share in zip(RUNS, kl.tolist(), exact.tolist(), strict=True)
                ],
            }
        )
    if args.json:
        folder = f"assets/{args.folder.resolve().name}"
        plans = " ".join(f"--plan '{json.dumps(plan.plain())}'" for plan in args.plan)
        command = f"python forecasts.py ../../{folder} {plans} --ranks {args.ranks}"
        content = {
            "model": folder,
            "command": f"{command} --fit {args.fit} --items {args.items}",
            "plans": report,
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
