"""Tests of the sparse MLP: values and gradients against one token at a time, losses against
transformers. Run it with `python test_moe.py`; needs the packages of requirements.txt.
"""

import unittest

import torch
import torch.nn.functional as F
from model import MoeConfig
from moe import SparseMLP, balance_loss
from torch import Tensor
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

CONFIG = MoeConfig(hidden_size=32, moe_intermediate_size=16, num_experts=5, num_experts_per_tok=2)


def token_by_token(mlp: SparseMLP, x: Tensor) -> Tensor:
    outputs = []
    for token in x:
        shares, chosen = mlp.gate(token).softmax(-1).topk(mlp.top)
        total = torch.zeros_like(token)
        for share, expert in zip(shares / shares.sum(), chosen):
            gate, up, down = (stack[expert] for stack in mlp.experts.parameters())
            total = total + share * (down @ (F.silu(gate @ token) * (up @ token)))
        outputs.append(total)
    return torch.stack(outputs)


class SparseMLPTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.mlp = SparseMLP(CONFIG)
        for parameter in self.mlp.parameters():
            torch.nn.init.normal_(parameter, std=0.3)

    def agrees(self, tokens: int):
        x = torch.randn(tokens, CONFIG.hidden_size, requires_grad=True)
        weight = torch.randn_like(x)
        ours, theirs = self.mlp(x), token_by_token(self.mlp, x)
        torch.testing.assert_close(ours, theirs)
        sources = [x, *self.mlp.parameters()]
        pairs = zip(*(torch.autograd.grad((y * weight).sum(), sources) for y in (ours, theirs)))
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    def test_many_tokens(self):
        self.agrees(60)

    def test_one_token_leaves_experts_without_rows(self):
        self.agrees(1)

    def test_balance_is_that_of_transformers(self):
        logits = torch.randn(100, CONFIG.num_experts)
        ours = balance_loss(logits, 2)
        theirs = load_balancing_loss_func((logits,), CONFIG.num_experts, 2)
        torch.testing.assert_close(ours, theirs)


if __name__ == "__main__":
    unittest.main()
