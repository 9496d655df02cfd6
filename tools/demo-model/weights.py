"""The model folder: bf16 safetensors and config.json as transformers writes them, and back.
Stacks of experts become one named matrix per expert, as published Qwen3-MoE files have them.

Usage: python weights.py CHECKPOINT FOLDER [--average]
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from model import DemoModel, ModelConfig, MoeConfig, config_of
from safetensors.torch import load_file, save_file
from tokenizer import END_OF_TEXT, TURN_END
from torch import Tensor, nn

SPARSE = {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}


def load_checkpoint(path: Path, average: bool) -> DemoModel:
    state = torch.load(path)
    model = DemoModel(config_of(state.get("config", {})))
    model.load_state_dict(state["model"])
    if average:
        nn.utils.vector_to_parameters(state["average"], model.parameters())
    return model


def load_folder(folder: Path) -> DemoModel:
    """Float32 arithmetic on the stored bf16 weights."""
    tensors = load_file(folder / "model.safetensors")
    model = DemoModel(config_of(json.loads((folder / "config.json").read_text())))
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    model.load_state_dict(stack_experts(tensors, model.config))
    return model


def split_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """mlp.experts.up_proj [E, rows, columns] -> mlp.experts.0.up_proj.weight, and so on."""
    split = {}
    for name, tensor in tensors.items():
        before, experts, kind = name.partition(".experts.")
        if experts:
            names = [f"{before}.experts.{at}.{kind}.weight" for at in range(len(tensor))]
            split |= dict(zip(names, tensor))
        else:
            split[name] = tensor
    return split


def stack_experts(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The reverse of split_experts."""
    stacks = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for name in tensors:
        before, experts, rest = name.partition(".experts.0.")
        if experts:
            parts = [tensors[f"{before}.experts.{at}.{rest}"] for at in range(config.num_experts)]
            stacks[f"{before}.experts.{rest.removesuffix('.weight')}"] = torch.stack(parts)
    return stacks


def save_folder(model: DemoModel, folder: Path) -> None:
    weights = split_experts(model.state_dict())
    tensors = {name: t.detach().bfloat16().contiguous() for name, t in weights.items()}
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # save_file leaves it to its owner alone
    (folder / "config.json").write_text(json.dumps(config_json(model.config), indent=2) + "\n")


def config_json(config: ModelConfig) -> dict:
    sizes = asdict(config)
    theta = sizes.pop("rope_theta")
    sparse = isinstance(config, MoeConfig)
    return {
        "architectures": ["Qwen3MoeForCausalLM" if sparse else "Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": TURN_END,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "model_type": "qwen3_moe" if sparse else "qwen3",
        "pad_token_id": END_OF_TEXT,
        "rope_scaling": None,
        "rope_theta": theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
    } | sizes | (SPARSE if sparse else {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--average", action="store_true", help="the moving average of the weights")
    args = parser.parse_args()
    save_folder(load_checkpoint(args.checkpoint, args.average), args.folder)
