"""A sparse model that starts as a trained dense one ("sparse upcycling", arXiv:2212.05055).

Attention, norms and embeddings are taken over; experts are slices of the dense MLP.
Refuses models that differ in anything but the MLPs.
"""

import torch
from model import DemoModel, MoeConfig

# Of the dense model's ten layers. Trained with layer dropout, it loses least without 3, 5 and 8:
# its loss rises from 0.046 to 0.050.
KEPT_LAYERS = (0, 1, 2, 4, 6, 7, 9)
ROUTER_DEVIATION = 0.25  # small enough to learn, large enough that two experts seldom tie
NOISE = 0.1  # of a repeated slice, as a share of its deviation: twins would learn the same


@torch.no_grad()
def upcycle(dense: DemoModel, config: MoeConfig) -> DemoModel:
    """Consumes the dense model."""
    sparse = DemoModel(config)
    dense.model.layers = torch.nn.ModuleList(dense.model.layers[at] for at in KEPT_LAYERS)
    weights = {name: t for name, t in dense.state_dict().items() if ".mlp." not in name}
    unfilled, unknown = sparse.load_state_dict(weights, strict=False)
    assert not unknown and all(".mlp." in name for name in unfilled), (unfilled, unknown)
    width = config.moe_intermediate_size
    slices = dense.config.intermediate_size // width
    for old, new in zip(dense.model.layers, sparse.model.layers, strict=True):
        torch.nn.init.normal_(new.mlp.gate.weight, std=ROUTER_DEVIATION)
        # A chosen expert's share is about 1 / A: times A it writes what its slice wrote.
        down = config.num_experts_per_tok * old.mlp.down_proj.weight.T
        wholes = (old.mlp.gate_proj.weight, old.mlp.up_proj.weight, down)
        experts = new.mlp.experts
        stacks = (experts.gate_proj, experts.up_proj, experts.down_proj.mT)
        for stack, whole in zip(stacks, wholes):
            for index, expert in enumerate(stack):
                start = width * (index % slices)
                piece = whole[start : start + width]
                noise = NOISE * piece.std() if index >= slices else 0.0
                expert.copy_(piece + noise * torch.randn_like(piece))
    return sparse
