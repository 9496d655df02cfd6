"""The sparse MLP of Qwen3-MoE: a router, its top experts, and the loss that keeps them in use.

Owns routing and the one matmul per expert; refuses shared experts and dropped tokens.
Shapes: N tokens, E experts, A experts per token, D hidden size, F expert width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ExpertMatmul(torch.autograd.Function):
    """rows [M, in] sorted by expert, weight [E, out, in], counts of rows per expert -> [M, out].
    One matmul per expert, written in place: autograd's own would copy slices and join them."""

    @staticmethod
    def forward(ctx, rows: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.counts = counts
        out = rows.new_empty(len(rows), weight.shape[1])
        for matrix, x, y in zip(weight, rows.split(counts), out.split(counts)):
            torch.mm(x, matrix.T, out=y)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):
        rows, weight = ctx.saved_tensors
        to_rows, to_weight = torch.empty_like(rows), torch.empty_like(weight)
        parts = (t.split(ctx.counts) for t in (gradient, rows, to_rows))
        for matrix, matrix_gradient, y, x, x_gradient in zip(weight, to_weight, *parts):
            torch.mm(y, matrix, out=x_gradient)
            torch.mm(y.T, x, out=matrix_gradient)
        return to_rows, to_weight, None


class Dispatch(torch.autograd.Function):
    """x [N, D] -> [N * A, D], a row for every (token, expert) pair, in the order of experts.
    Backward gathers too: the pairs of a token are known, so nothing is added at random places."""

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        return x.index_select(0, order // place.shape[1])

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (place,) = ctx.saved_tensors
        return sum_pairs(gradient, place), None, None


class Combine(torch.autograd.Function):
    """The reverse of Dispatch: [N * A, D] -> the sum over each token's pairs [N, D]."""

    @staticmethod
    def forward(ctx, rows: Tensor, order: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(order // place.shape[1])
        return sum_pairs(rows, place)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (token,) = ctx.saved_tensors
        return gradient.index_select(0, token), None, None


def sum_pairs(rows: Tensor, place: Tensor) -> Tensor:
    """rows [N * A, D] in the order of experts, place [N, A] of each token's pairs -> [N, D]."""
    total = rows.index_select(0, place[:, 0])
    for column in place.T[1:]:
        total += rows.index_select(0, column)
    return total


def choose(x: Tensor, gate: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    """x [N, D] -> logits [N, E], and for each of the best `top` its share of 1 and its expert."""
    logits = F.linear(x, gate)
    shares, chosen = logits.softmax(-1).topk(top)
    return logits, shares / shares.sum(-1, keepdim=True), chosen


def activate(gate_up: Tensor, share: Tensor) -> Tensor:
    """SwiGLU of [M, 2F], times the expert's share [M]: down_proj is linear, so here as well as
    after it, on fewer numbers."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up * share[:, None]


class Experts(nn.Module):
    """All experts of a layer as three stacks; weights.py gives each its own name in the file."""

    def __init__(self, config):
        super().__init__()
        wide = (config.num_experts, config.moe_intermediate_size, config.hidden_size)
        self.gate_proj = nn.Parameter(torch.empty(wide))
        self.up_proj = nn.Parameter(torch.empty(wide))
        self.down_proj = nn.Parameter(torch.empty(wide).mT.contiguous())


class SparseMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = Experts(config)
        self.top = config.num_experts_per_tok
        self.choose, self.activate = choose, activate  # train.py puts compiled ones here
        self.logits: Tensor | None = None  # [N, E] of the last call, for losses and measures

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        self.logits, shares, chosen = self.choose(tokens, self.gate.weight, self.top)
        order = chosen.flatten().argsort()
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        place = place.view_as(chosen)
        counts = chosen.flatten().bincount(minlength=len(self.gate.weight)).tolist()
        gate_up = torch.cat((self.experts.gate_proj, self.experts.up_proj), dim=1)
        rows = ExpertMatmul.apply(Dispatch.apply(tokens, order, place), gate_up, counts)
        rows = self.activate(rows, shares.flatten()[order])
        rows = ExpertMatmul.apply(rows, self.experts.down_proj, counts)
        return Combine.apply(rows, order, place).view_as(x)


def balance_loss(logits: Tensor, top: int) -> Tensor:
    """Of one layer's logits [N, E]: `top` when all experts are used alike, more when they are not
    (transformers' load_balancing_loss_func; Switch, arXiv:2101.03961)."""
    experts = logits.shape[1]
    used = F.one_hot(logits.topk(top).indices, experts).float().mean(0).sum(0)
    return experts * (used * logits.softmax(-1).mean(0)).sum()
