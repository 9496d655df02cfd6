"""The model folder: bf16 safetensors and config.json as transformers writes them, and back.

Usage: python weights.py CHECKPOINT FOLDER [--average]
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from model import DemoModel, ModelConfig
from safetensors.torch import load_file, save_file
from tokenizer import END_OF_TEXT, TURN_END
from torch import nn


def load_checkpoint(path: Path, average: bool) -> DemoModel:
    state = torch.load(path)
    model = DemoModel()
    model.load_state_dict(state["model"])
    if average:
        nn.utils.vector_to_parameters(state["average"], model.parameters())
    return model


def load_folder(folder: Path) -> DemoModel:
    """Float32 arithmetic on the stored bf16 weights."""
    tensors = load_file(folder / "model.safetensors")
    model = DemoModel()
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model


def save_folder(model: DemoModel, folder: Path) -> None:
    tensors = {name: t.detach().bfloat16().contiguous() for name, t in model.state_dict().items()}
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # save_file leaves it to its owner alone
    (folder / "config.json").write_text(json.dumps(config_json(model.config), indent=2) + "\n")


def config_json(config: ModelConfig) -> dict:
    sizes = asdict(config)
    theta = sizes.pop("rope_theta")
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": TURN_END,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "model_type": "qwen3",
        "pad_token_id": END_OF_TEXT,
        "rope_scaling": None,
        "rope_theta": theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
    } | sizes


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--average", action="store_true", help="the moving average of the weights")
    args = parser.parse_args()
    save_folder(load_checkpoint(args.checkpoint, args.average), args.folder)
