"""Layer plans of the demo model: skipping, repeating and mixing agree with one another.

Usage: python test_plans.py
"""

import unittest

import generate
import torch
from generate import generate_ids
from model import DemoModel, ModelConfig, Rows
from paths import hidden_by_path, mixed
from planned import LayerPlan, planned
from routers import MOST_WINDOWS, answers, windows_of
from taught import batch
from torch import Tensor

generate.MAX_NEW_TOKENS = 8  # random weights never end a turn
PROMPTS = [[7, 30, 45, 8, 9, 21, 90, 13, 55], [3, 5, 2, 60, 71, 33, 34, 35, 36, 37, 38, 39, 11]]


def small() -> DemoModel:
    torch.manual_seed(1)
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "head_dim": 16}
    return DemoModel(ModelConfig(num_hidden_layers=4, **sizes)).eval()


def logits(model: DemoModel, prompt: list[int]) -> Tensor:
    rows = Rows([(0, 1, len(prompt))], torch.arange(len(prompt)))
    keep = [True] * (2 * len(model.model.layers))
    with torch.inference_mode():
        return model.head(model.forward_rows(torch.tensor(prompt), rows, keep))


class Plans(unittest.TestCase):
    def test_a_plan_of_nothing_is_the_model(self):
        model = small()
        self.assertTrue(
            logits(model, PROMPTS[0]).equal(logits(planned(model, LayerPlan()), PROMPTS[0]))
        )

    def test_a_skipped_sublayer_adds_nothing(self):
        model = small()
        plan = LayerPlan.without([2, 3, 5])
        self.assertEqual(plan.plain(), {"skip": [1], "skipMlp": [2]})
        self.assertEqual(plan.executed(4), 5)
        self.assertEqual(LayerPlan.parse('{"skip": [1], "skipMlp": [2]}'), plan)
        got = logits(planned(model, plan), PROMPTS[0])
        for layer, part in ((1, "self_attn.o_proj"), (1, "mlp.down_proj"), (2, "mlp.down_proj")):
            model.model.layers[layer].get_submodule(part).weight.data.zero_()
        self.assertTrue(torch.allclose(got, logits(model, PROMPTS[0]), atol=1e-6))

    def test_paths_of_a_batch_are_those_of_plans(self):
        model = small()
        visits = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]])
        plans = [
            LayerPlan(*[frozenset([1])] * 2, frozenset([2])),
            LayerPlan(*[frozenset([0])] * 2, frozenset([3])),
        ]
        text = batch([(prompt, [4]) for prompt in PROMPTS], [0, 0], [None, None])
        hidden, made = hidden_by_path(model, text, lambda at, _: visits[:, at])
        self.assertTrue(made.equal(visits))
        by_plan = [planned(model, plan) for plan in plans]
        for prompt, one, last in zip(PROMPTS, by_plan, text.predict.tolist(), strict=True):
            got = model.head(hidden[last - len(prompt) + 1 : last + 1])
            self.assertTrue(torch.allclose(got, logits(one, prompt), atol=1e-5))
        alone = [generate_ids(one, [prompt])[0] for one, prompt in zip(by_plan, PROMPTS)]
        self.assertEqual(answers(model, PROMPTS, visits), alone)
        self.assertEqual(generate_ids(mixed(model, visits), PROMPTS), alone)

    def test_windows_are_means_of_whole_runs(self):
        text = batch([(prompt, [4]) for prompt in PROMPTS], [0, 0], [None, None])
        hidden = torch.arange(len(text.ids)).float()[:, None]
        self.assertEqual(MOST_WINDOWS, 8)
        # 9 tokens are eight runs of 1; 13 are too: padded rows begin at 0 and 16.
        self.assertEqual(
            windows_of(hidden, text)[:, :, 0].tolist(), [[*range(8)], [*range(16, 24)]]
        )


if __name__ == "__main__":
    unittest.main()
