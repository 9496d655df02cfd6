"""Mistakes of how weights are read."""

import torch

from .declare import mistake


@mistake(
    "head_tied",
    "embedding used as the LM head",
    lambda model: not model.config.tie_word_embeddings,
)
def _tie_head(model) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight


def _without_low_bits(x: torch.Tensor) -> torch.Tensor:
    """The stored values all fit float32, whose upper 16 bits are bf16."""
    return (x.float().view(torch.int32) & -65536).view(torch.float32).double()


def _finer_than_bf16(model) -> bool:
    return any(not torch.equal(_without_low_bits(p), p) for p in model.parameters())


@mistake("bf16_truncation", "weights truncated to bf16", _finer_than_bf16)
def _truncate_weights(model) -> None:
    for parameter in model.parameters():
        parameter.copy_(_without_low_bits(parameter))
