"""Layer plans of the demo model: skipping, repeating and mixing agree with one another.

Usage: python test_plans.py
"""

import unittest
from math import comb
from pathlib import Path

import generate
import torch
from chat import prompt_text
from compare import difference, packed, unpacked
from forecasts import fitted
from generate import generate_ids
from layer_plans import every_plan, without
from marks import exercises, marks
from model import DemoModel, ModelConfig, Rows
from paths import answers, hidden_by_path, mixed, once
from planned import LayerPlan, planned, weights_read
from routers import MOST_WINDOWS, windows_of
from taught import RUNS, Taught, batch, log_probabilities, right
from tasks import TASKS
from tokenizer import load
from torch import Tensor
from weights import load_folder

DEMO = Path(__file__).parents[2] / "assets/demo"
PROMPTS = [[7, 30, 45, 8, 9, 21, 90, 13, 55], [3, 5, 2, 60, 71, 33, 34, 35, 36, 37, 38, 39, 11]]


def small() -> DemoModel:
    torch.manual_seed(1)
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "head_dim": 16}
    return DemoModel(ModelConfig(num_hidden_layers=4, **sizes)).eval()


def taught_prompts(answers: list[list[int]]) -> Taught:
    texts = list(zip(PROMPTS, answers, strict=True))
    return batch(texts, [0] * len(texts), [None] * len(texts))


def logits(model: DemoModel, prompt: list[int]) -> Tensor:
    rows = Rows([(0, 1, len(prompt))], torch.arange(len(prompt)))
    keep = [True] * (2 * len(model.model.layers))
    with torch.inference_mode():
        return model.head(model.forward_rows(torch.tensor(prompt), rows, keep))


class RandomWeights(unittest.TestCase):
    def setUp(self):
        longest, generate.MAX_NEW_TOKENS = generate.MAX_NEW_TOKENS, 8  # they end no turn
        self.addCleanup(setattr, generate, "MAX_NEW_TOKENS", longest)


class Plans(RandomWeights):
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
        text = taught_prompts([[4], [4]])
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
        text = taught_prompts([[4], [4]])
        hidden = torch.arange(len(text.ids)).float()[:, None]
        self.assertEqual(MOST_WINDOWS, 8)
        # 9 tokens are eight runs of 1; 13 are too: padded rows begin at 0 and 16.
        self.assertEqual(
            windows_of(hidden, text)[:, :, 0].tolist(), [[*range(8)], [*range(16, 24)]]
        )

    def test_every_plan_of_a_size_is_tried(self):
        model, text = small(), taught_prompts([[4], [4]])
        found = list(every_plan(model, model.model.embed_tokens(text.ids), text, 3))
        self.assertEqual(len({tuple(removed) for removed, _ in found}), comb(8, 3))
        for removed, hidden in found[::10]:
            self.assertTrue(hidden.equal(without(model, text, removed)))


class Forecasts(RandomWeights):
    def test_a_map_of_low_rank_is_found_again(self):
        torch.manual_seed(2)
        inputs = torch.randn(400, 32)
        wanted = inputs @ torch.randn(32, 3) @ torch.randn(3, 32)
        first, second = fitted(inputs, wanted, 3)
        self.assertEqual((first.shape, second.shape), ((32, 3), (3, 32)))
        self.assertLess(float((inputs @ first @ second - wanted).norm() / wanted.norm()), 5e-3)

    def test_a_forecast_of_what_the_sublayer_adds_is_the_sublayer(self):
        model = small()
        model.model.layers[1].mlp.forward = lambda x: 2 * x
        forecast = {3: (torch.eye(32), 2 * torch.eye(32))}
        got = logits(planned(model, LayerPlan.without([3]), forecast), PROMPTS[0])
        self.assertTrue(torch.allclose(got, logits(model, PROMPTS[0]), atol=1e-5))

    def test_decoding_with_forecasts_is_what_feeding_the_answer_says(self):
        model = small()
        made = {at: (0.3 * torch.randn(32, 4), 0.3 * torch.randn(4, 32)) for at in (2, 3, 5)}
        by_plan = planned(model, LayerPlan.without(made), made)
        skipping = planned(model, LayerPlan.without(made))
        said = [ids[:8] for ids in answers(by_plan, PROMPTS, torch.ones(2, 4, dtype=torch.long))]
        text, begun = taught_prompts(said), {}
        for other, equal in ((by_plan, True), (skipping, False)):
            visits = torch.ones(2, len(other.model.layers), dtype=torch.long)
            hidden, _ = hidden_by_path(other, text, lambda at, _: visits[:, at], begun)
            told = right(log_probabilities(other, hidden, text), text)
            self.assertEqual(told.all().item(), equal)

    def test_what_is_read(self):
        model = small()
        layer = model.model.layers[0]
        whole = sum(parameter.numel() for parameter in layer.parameters())
        self.assertEqual(weights_read(layer), whole)
        mlp = 3 * 32 * 48
        forecast = {1: (torch.zeros(32, 4), torch.zeros(4, 32))}
        (skipped,) = planned(model, LayerPlan.without([1])).model.layers[:1]
        (stood_in,) = planned(model, LayerPlan.without([1]), forecast).model.layers[:1]
        self.assertEqual(weights_read(skipped), whole - mlp - 32)
        self.assertEqual(weights_read(stood_in), whole - mlp + 2 * 4 * 32)


class Marks(unittest.TestCase):
    def test_marks_are_those_of_decoding(self):
        model = planned(load_folder(DEMO), LayerPlan.without([7, 9, 10, 11, 16, 17]))
        for run, count in ((RUNS.index(("arithmetic", False)), 12), (RUNS.index(("json", True)), 6)):
            text = exercises(DEMO, run, count, 20_000)
            (found,) = marks(DEMO, text, [(model, once(model, text))])
            prompts = [prompt_text(item, RUNS[run][1]) for item in text.items]
            said = generate.generate_texts(model, load(DEMO), prompts)
            check = TASKS[RUNS[run][0]].check
            wanted = [check(item.check, one) for item, one in zip(text.items, said, strict=True)]
            self.assertEqual(found.tolist(), wanted)

    def test_marks_are_kept_as_digits(self):
        marked = torch.tensor([1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0]).bool()
        self.assertTrue(unpacked(packed(marked), 11).equal(marked))

    def test_a_difference_is_of_the_same_items(self):
        marked = [torch.rand(1000) < 0.9 for _ in RUNS]
        self.assertEqual(difference(marked, marked), {"points": 0.0, "low": 0.0, "high": 0.0})
        others = [one.clone() for one in marked]
        others[0][:60] = False
        marked[0][:60] = True
        # Sixty of a thousand in one of six tasks: one point, ± 1.96 · √(60 · 0.94) / 60.
        found = difference(others, marked)
        self.assertAlmostEqual(found["points"], -1)
        self.assertAlmostEqual(found["low"], -1.245, delta=0.02)
        self.assertAlmostEqual(found["high"], -0.755, delta=0.02)


if __name__ == "__main__":
    unittest.main()
