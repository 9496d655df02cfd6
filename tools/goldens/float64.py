"""Runs Hugging Face transformers in true float64.

Owns the one trick this needs. transformers pins float32 in three places even when the model is
float64: RMSNorm, the attention softmax, and the rotary tables. `Float64` rewrites every request
for float32 into float64 while it is active, so the arithmetic is still transformers' own code.
Refuses to let a rounded value through: an operator that yields f32, f16 or bf16 raises.
"""

import json
from pathlib import Path

import torch
from mxfp4 import decoded
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

_LOW = (torch.float32, torch.float16, torch.bfloat16)


def _widen(value):
    return torch.float64 if value is torch.float32 else value


class Float64(TorchDispatchMode):
    """While active, operators that ask for float32 get float64. With `strict`, none may round."""

    def __init__(self, strict: bool):
        super().__init__()
        self.strict = strict

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*tree_map(_widen, args), **tree_map(_widen, kwargs or {}))
        if self.strict:
            for leaf in tree_leaves(out):
                if isinstance(leaf, torch.Tensor) and leaf.dtype in _LOW:
                    raise ArithmeticError(f"{func} gave {leaf.dtype} in a float64 forward pass")
        return out


def load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model of a Hugging Face folder, weights converted to `dtype`, eager attention.

    Raises ValueError if a tensor is missing: transformers alone would fill it with random values.
    """
    with decoded(folder) as readable:
        model, info = AutoModelForCausalLM.from_pretrained(
            readable,
            dtype=dtype,
            attn_implementation="eager",
            experts_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
    absent = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if absent:
        raise ValueError(f"{folder} lacks {', '.join(absent)}, or has them in another shape")
    _round_embedding_scale(model, folder)
    _keep_one_rope_list(model)
    return model.eval()


def _keep_one_rope_list(model: PreTrainedModel) -> None:
    """LongRoPE has two lists. transformers chooses by the length of each sequence, also when it has
    written keys by the other list; the engine chooses once, by the longest sequence it accepts."""
    tables = getattr(model.model, "rotary_emb", None)
    if getattr(tables, "rope_type", None) != "longrope":
        return
    config = model.config
    first = config.rope_parameters["original_max_position_embeddings"]
    longest = config.max_position_embeddings
    frequencies, _ = ROPE_INIT_FUNCTIONS["longrope"](config, None, seq_len=longest)
    assert (longest > first) == (frequencies != tables.inv_freq).any()
    tables.inv_freq = frequencies
    # No other list for any sequence.
    tables.rope_type = "default"


def _round_embedding_scale(model: PreTrainedModel, folder: Path) -> None:
    """transformers rounds this number to the type that the model runs in; here, the stored one."""
    config = json.loads((folder / "config.json").read_text())
    stored = getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")
    for module in model.modules():
        if hasattr(module, "scalar_embed_scale"):
            scale = torch.tensor(module.scalar_embed_scale, dtype=torch.float64).to(stored)
            module.embed_scale = scale.to(module.weight.dtype)


def load_float64(folder: Path) -> PreTrainedModel:
    """The model with its stored weights, which float64 holds exactly."""
    with Float64(strict=False), torch.no_grad():
        model = load(folder, torch.float64)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype is not torch.float64:
            raise ArithmeticError(f"{name} is {tensor.dtype}, float64 is required")
    return model


def logits_float64(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Logits [T,V] in float64 of one sequence, all positions computed at once, without a cache."""
    with Float64(strict=True), torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def attention_float64(model: PreTrainedModel, ids: list[int]) -> list[torch.Tensor]:
    """Attention probabilities of each layer, [N,T,T] in float64."""
    with Float64(strict=True), torch.no_grad():
        out = model(torch.tensor([ids]), use_cache=False, output_attentions=True)
    return [layer[0] for layer in out.attentions]
