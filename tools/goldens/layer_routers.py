"""Writes test/fixtures/layer-routers.json and .safetensors: routers of layers as Dr.LLM has them.

    python tools/goldens/layer_routers.py            write both
    python tools/goldens/layer_routers.py --check    compute the figures of the committed weights again

Before a layer its router sees the residual stream of the whole prompt and decides whether the layer is
skipped, executed or repeated (Dr.LLM, arXiv:2510.12773). Owns these tiny routers, their prompts and
PyTorch's answers in float64. Refuses decisions that a rounding could turn, other than true ties.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn

FIXTURES = Path(__file__).resolve().parents[2] / "test" / "fixtures"
JSON, TENSORS = FIXTURES / "layer-routers.json", FIXTURES / "layer-routers.safetensors"

HIDDEN_SIZE = 32
ROUTER_SIZE = 128
MOST_WINDOWS = 8
DECISIONS = ("skip", "execute", "repeat")
PROMPT_LENGTHS = (1, 3, 7, 8, 9, 20, 37)
# Of each layer, decisions whose logits are equal for every input.
TIES = ((), (), (0, 1), (1, 2), (0, 1, 2))
SEED = 6
CLEAR_MARGIN = 0.02
TOLERANCE = 1e-12


class Router(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(HIDDEN_SIZE, ROUTER_SIZE)
        self.linear2 = nn.Linear(ROUTER_SIZE, len(DECISIONS))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of a prompt [n, HIDDEN_SIZE] the logits of each window, [W, 3]. Tokens after the last
        whole window are left out."""
        windows = min(MOST_WINDOWS, len(hidden))
        length = len(hidden) // windows
        means = hidden[: windows * length].reshape(windows, length, HIDDEN_SIZE).mean(1)
        return self.linear2(nn.functional.gelu(self.linear1(means), approximate="tanh"))


def decide(logits: torch.Tensor) -> tuple[int, float]:
    """The first of the greatest, and how far the next smaller one is below it."""
    values = logits.tolist()
    best = max(values)
    return values.index(best), min((best - v for v in values if v < best), default=0.0)


def _drawn(rng, scale: float, *shape: int) -> torch.Tensor:
    """Multiples of 1/64, which every storage type holds, and JSON in few digits."""
    values = rng.normal(0, scale, shape)
    return torch.from_numpy(numpy.round(values * 64) / 64)


def drawn_router(rng, tied: tuple[int, ...]) -> dict[str, torch.Tensor]:
    # Few units are in use where only the tie matters: zeros are short.
    used = 4 if tied else ROUTER_SIZE
    first = torch.zeros(ROUTER_SIZE, HIDDEN_SIZE)
    first[:used] = _drawn(rng, 0.35, used, HIDDEN_SIZE)
    second = _drawn(rng, 0.25, len(DECISIONS), ROUTER_SIZE)
    bias1, bias2 = _drawn(rng, 0.3, ROUTER_SIZE), _drawn(rng, 0.3, len(DECISIONS))
    if tied:
        # One product each, so that no order of summation makes two of them differ; and the greatest.
        alike = torch.zeros(ROUTER_SIZE)
        alike[0] = second[tied[0], 0]
        second[list(tied)], bias2[list(tied)] = alike, 4.0
    return {
        "linear1.weight": first,
        "linear1.bias": bias1,
        "linear2.weight": second,
        "linear2.bias": bias2,
    }


def loaded(weights: dict[str, torch.Tensor]) -> Router:
    router = Router()
    router.load_state_dict({name: tensor.double() for name, tensor in weights.items()})
    return router


@torch.no_grad()
def answer(router: Router, hidden: torch.Tensor) -> dict:
    windows = router(hidden)
    decision, margin = decide(windows.mean(0))
    return {
        "hidden": hidden.tolist(),
        "windowLogits": windows.tolist(),
        "logits": windows.mean(0).tolist(),
        "margin": margin,
        "decision": decision,
    }


def write() -> None:
    rng = numpy.random.default_rng(SEED)
    layers = [drawn_router(rng, tied) for tied in TIES]
    routers = [loaded(weights) for weights in layers]
    prompts = []
    for tokens in PROMPT_LENGTHS:
        # A mean of its own for each prompt, so that decisions differ between prompts.
        hidden = [
            _drawn(rng, 1, tokens, HIDDEN_SIZE) + _drawn(rng, 1, 1, HIDDEN_SIZE) for _ in layers
        ]
        prompts.append({"tokens": tokens, "layers": list(map(answer, routers, hidden))})
    _require(prompts)
    content = {
        "hiddenSize": HIDDEN_SIZE,
        "routerSize": ROUTER_SIZE,
        "windows": MOST_WINDOWS,
        "decisions": DECISIONS,
        "tied": TIES,
        "layers": [{name: t.tolist() for name, t in weights.items()} for weights in layers],
        "prompts": prompts,
    }
    JSON.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    tensors = {
        f"model.routers.{at}.{name}": tensor.float()
        for at, weights in enumerate(layers)
        for name, tensor in weights.items()
    }
    save_file(tensors, TENSORS, {"format": "pt"})
    TENSORS.chmod(0o644)


def _require(prompts: list[dict]) -> None:
    free = [layer for prompt in prompts for layer, tied in zip(prompt["layers"], TIES) if not tied]
    if {layer["decision"] for layer in free} != {0, 1, 2}:
        raise SystemExit(f"a decision is never taken: {[layer['decision'] for layer in free]}")
    for prompt in prompts:
        for layer, tied in zip(prompt["layers"], TIES):
            if len(tied) < len(DECISIONS) and layer["margin"] < CLEAR_MARGIN:
                raise SystemExit(f"{prompt['tokens']} tokens: margin {layer['margin']:.3g}")
            if tied and layer["decision"] != tied[0]:
                raise SystemExit(f"{prompt['tokens']} tokens: {layer['decision']}, not of {tied}")


def check() -> list[str]:
    content, tensors, problems = json.loads(JSON.read_text()), load_file(TENSORS), []
    routers = []
    for at, weights in enumerate(content["layers"]):
        plain = {name: torch.tensor(values) for name, values in weights.items()}
        routers.append(loaded(plain))
        for name, values in plain.items():
            if not values.equal(tensors[f"model.routers.{at}.{name}"].double()):
                problems.append(f"{TENSORS.name}: layer {at} has another {name}")
    for prompt in content["prompts"]:
        for at, (router, stored) in enumerate(zip(routers, prompt["layers"], strict=True)):
            again = answer(router, torch.tensor(stored["hidden"]))
            off = torch.tensor(again["logits"]) - torch.tensor(stored["logits"])
            if off.abs().max() > TOLERANCE or again["decision"] != stored["decision"]:
                problems.append(f"{prompt['tokens']} tokens, layer {at}: it is {again['logits']}")
    _require(content["prompts"])
    return problems


def main() -> int:
    torch.set_default_dtype(torch.float64)
    problems = check() if "--check" in sys.argv[1:] else write()
    for problem in problems or []:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
