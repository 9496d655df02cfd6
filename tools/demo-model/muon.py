"""Muon for a stack of thin layers: matrices of one shape are orthogonalised in one batch.
A parameter of three dimensions is a stack of matrices, one per expert.

Momentum, five Newton-Schulz steps in float32, then a step whose RMS equals AdamW's
(Jordan et al. 2024; the 0.2 * sqrt(max side) scale is Moonlight's, arXiv 2502.16982).
"""

from collections import defaultdict

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(x: Tensor, steps: int = 5) -> Tensor:
    """x [K, rows, columns] with rows <= columns -> nearest semi-orthogonal matrices, roughly."""
    a, b, c = COEFFICIENTS
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            shapes = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[tuple(sorted(parameter.shape[-2:]))].append(parameter)
            for (short, long), parameters in shapes.items():
                updates = [self.direction(p, group["momentum"]) for p in parameters]
                flipped = [p.shape[-2] > p.shape[-1] for p in parameters]
                wide = [u.mT if f else u for u, f in zip(updates, flipped)]
                stacks = [u.reshape(-1, short, long) for u in wide]
                joined = orthogonalise(torch.cat(stacks)) * (0.2 * long**0.5)
                for parameter, update, flip in zip(
                    parameters, joined.split([len(stack) for stack in stacks]), flipped
                ):
                    update = (update.mT if flip else update).reshape(parameter.shape)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"])

    def direction(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["momentum"], momentum)
