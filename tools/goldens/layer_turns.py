"""Writes test/fixtures/goldens/layer-turns.json and the logits it names: tokens that leave layers out by turns.

    python tools/goldens/layer_turns.py            write them
    python tools/goldens/layer_turns.py --check    compute them again

Behind its prompt a sequence runs the whole model for one token in every `period`, and a layer plan for
the others. Of attention that these leave out, later tokens see keys and values made of what passed by
("fill"), or nothing ("hole"). transformers runs all tokens at once in float64: what a token leaves out
adds nothing to it, and a hole is a column that attention does not see. Refuses a case that another
reading of it would hardly move.
"""

import copy
import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import nn

from float64 import load_float64, logits_float64
from golden import F16_MAX_TOLERANCE
from layer_plans import LayerPlan

GOLDENS = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "goldens"
JSON = GOLDENS / "layer-turns.json"
TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Turns:
    folder: str
    plan: LayerPlan
    cache: str
    period: int
    promptTokens: int

    @property
    def logits_file(self) -> str:
        return f"{self.folder}/logits-{self.plan.name}.f32"

    def leaves(self, tokens: int) -> torch.Tensor:
        """Of each token: whether it runs the plan."""
        behind = torch.arange(tokens) - self.promptTokens
        return (behind >= 0) & (behind % self.period != 0)


# The last two layers have windows, where holes would not be counted by tokens.
CASES = tuple(
    case
    for folder in ("qwen3-plans/f32", "qwen3-moe-plans/f32")
    for case in (
        Turns(folder, LayerPlan("fill", skip=(1, 3)), "fill", 3, 8),
        Turns(folder, LayerPlan("hole", skip=(1,), skipMlp=(2,)), "hole", 4, 7),
    )
)


class Attention(nn.Module):
    def __init__(self, attention: nn.Module, leaves: torch.Tensor, is_hole: bool):
        super().__init__()
        self.attention, self.leaves, self.is_hole = attention, leaves, is_hole

    def forward(self, hidden_states: torch.Tensor, attention_mask=None, **rest):
        if self.is_hole:
            attention_mask = attention_mask.clone()
            # A row that is left out sees itself, as some column must be seen; nobody uses it.
            unseen = self.leaves[None, :] & ~torch.eye(len(self.leaves), dtype=torch.bool)
            attention_mask[..., unseen] = torch.finfo(attention_mask.dtype).min
        out, weights = self.attention(hidden_states, attention_mask=attention_mask, **rest)
        return out * ~self.leaves[:, None], weights


class Mlp(nn.Module):
    def __init__(self, mlp: nn.Module, leaves: torch.Tensor):
        super().__init__()
        self.mlp, self.leaves = mlp, leaves

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.mlp(hidden_states) * ~self.leaves[:, None]


def computed(case: Turns, model, ids: list[int]) -> torch.Tensor:
    model, leaves = copy.deepcopy(model), case.leaves(len(ids))
    plan = case.plan
    for at, layer in enumerate(model.model.layers):
        if at in plan.skip + plan.skipAttention:
            layer.self_attn = Attention(layer.self_attn, leaves, case.cache == "hole")
        if at in plan.skip + plan.skipMlp:
            layer.mlp = Mlp(layer.mlp, leaves)
    return logits_float64(model, ids)


def misread(case: Turns) -> list[Turns]:
    other = "hole" if case.cache == "fill" else "fill"
    return [
        dataclasses.replace(case, cache=other),
        dataclasses.replace(case, period=case.period + 1),
        dataclasses.replace(case, promptTokens=case.promptTokens + 1),
    ]


def main() -> int:
    index = json.loads((GOLDENS / "index.json").read_text())
    fixtures = {fixture["folder"]: fixture for fixture in index["fixtures"]}
    entries, problems = [], []
    for case in CASES:
        ids = fixtures[case.folder]["prompts"][-1]
        model = load_float64(GOLDENS / case.folder)
        logits = computed(case, model, ids)
        std = float(logits.std(correction=0))
        for wrong in misread(case):
            moved = float((computed(wrong, model, ids) - logits).abs().max()) / std
            if moved < 3 * F16_MAX_TOLERANCE:
                problems.append(f"{case}: {wrong} moves the logits by {moved:.2g}")
        path = GOLDENS / case.logits_file
        if "--check" in sys.argv[1:]:
            stored = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.float32)
            if float((stored - logits.flatten()).abs().max()) > TOLERANCE * std:
                problems.append(f"{path} is not what transformers computes")
        elif not problems:
            path.write_bytes(logits.float().numpy().astype("<f4").tobytes())
        rest = {"cache": case.cache, "period": case.period, "promptTokens": case.promptTokens}
        entries.append(
            {"folder": case.folder, "plan": case.plan.json(), **rest}
            | {"ids": ids, "logitStd": std, "logitsFile": case.logits_file}
        )
    if "--check" not in sys.argv[1:] and not problems:
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        JSON.write_text(f"[\n{lines}\n]\n")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        sys.exit(main())
