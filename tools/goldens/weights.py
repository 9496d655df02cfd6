"""Random weights of a fixture, and its Hugging Face folder.

Owns the scale of each tensor, chosen so that a mistake shows: attention is peaked, norm weights
are not ones, biases are not zero. Refuses to depend on transformers' initialisers, whose draws
change between versions: values come from numpy's PCG64 and the names and shapes from the model.
"""

import json
import math
import shutil
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from fixtures import Fixture
from mxfp4 import quantised

TORCH_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
CONFIG_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}

# Each element of q and k has about this standard deviation, so that scores have its square: with
# 100 keys the largest attention probability is then 0.6 on average instead of 0.01.
QUERY_KEY_STD = 2.0


# A buffer, not a parameter, of routers that have it.
CHOICE_BIAS = "e_score_correction_bias"

# A smaller share of the residual stream keeps f16 rounding inside its tolerance.
SCALES = {"o_proj": 0.5, "down_proj": 0.5, "gate_proj": 1.5, "up_proj": 1.5, "gate_up_proj": 1.5}
# Logits of a router: far enough apart that the chosen experts differ in weight.
SCALES |= {"out_proj": 0.5, "w2": 0.5, "w1": 1.5, "w3": 1.5}
# Queries and keys of latent attention, which latents make; its values come with the keys.
SCALES |= {"q_b_proj": QUERY_KEY_STD, "kv_b_proj": QUERY_KEY_STD, "kv_a_proj_with_mqa": QUERY_KEY_STD}
SCALES |= {"sinks": 4.0, "gate": 1.5, "router": 1.5, "shared_expert_gate": 1.5}


def config_json(fixture: Fixture, dtype: str) -> dict:
    """config.json as a checkpoint of this dtype carries it (new-style files call it `dtype`)."""
    key = "dtype" if "rope_parameters" in fixture.config else "torch_dtype"
    config = fixture.config | {key: CONFIG_DTYPES[dtype]}
    if fixture.mxfp4:
        config |= {"quantization_config": {"quant_method": "mxfp4"}}
    return config


def _values(name: str, shape: tuple[int, ...], names: set[str], rng) -> numpy.ndarray:
    module, kind = name.split(".")[-2:]
    if module == "experts" or kind in (CHOICE_BIAS, "expert_bias", "sinks"):
        module = kind
    qk_norm = any("q_norm" in other or "q_layernorm" in other for other in names)
    # Where there are norms after blocks, they alone say how much a block adds.
    post_norms = any("post_feedforward" in other for other in names)
    if module in ("q_norm", "k_norm", "q_layernorm", "k_layernorm"):
        return rng.uniform(0.5 * QUERY_KEY_STD, 1.5 * QUERY_KEY_STD, shape)
    if post_norms and module.startswith("post_"):
        return rng.uniform(0.15, 0.45, shape)
    if "norm" in module:
        return rng.uniform(0.5, 1.5, shape)
    normal = rng.standard_normal(shape)
    if kind == CHOICE_BIAS:
        # Less than scores differ, so that these choose too.
        return 0.15 * normal
    if kind.endswith("bias"):
        return 0.5 * normal
    if module == "embed_tokens":
        return normal
    scale = SCALES.get(module, 1.0)
    if module in ("q_proj", "k_proj") and not qk_norm:
        scale = QUERY_KEY_STD
    return scale / math.sqrt(shape[-1]) * normal


def _stored(name: str, values: numpy.ndarray, config: dict) -> numpy.ndarray:
    """What is stored otherwise than drawn: norms of Gemma, and projections that hold several."""
    if name.endswith(".qkv_proj.weight"):
        heads = config["num_attention_heads"]
        rows = config["hidden_size"] // heads * (heads + config["num_key_value_heads"])
        return numpy.concatenate([QUERY_KEY_STD * values[:rows], values[rows:]])
    if name.endswith(".gate_up_proj.weight") and values.ndim == 2:
        return 1.5 * values
    if name.endswith("kv_a_proj_with_mqa.weight"):
        # A latent is normalised; as small as this, an eps shows. The key below it is not.
        rank = config["kv_lora_rank"]
        return numpy.concatenate([0.1 * values[:rank], values[rank:]])
    if config["model_type"] == "gpt_oss" and name.endswith("experts.gate_up_proj"):
        # Some gates and values reach the limit of the activation.
        return 3 * values
    if not config["model_type"].startswith("gemma") or "norm" not in name:
        return values
    # Gemma's embeddings are scaled, so its blocks add more; it stores a norm's weight w less 1.
    if ".post_" in name:
        values = values * math.sqrt(config["hidden_size"])
    return values - 1


def random_weights(fixture: Fixture) -> dict[str, torch.Tensor]:
    """float32 tensors by checkpoint name; a tied head is left out, as checkpoints do."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fixture.config))
    # named_parameters lists a tied weight once, under the name of the embedding.
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    # A bias of the choice of experts is stored, and no parameter.
    stored = model.state_dict().keys()
    shapes |= {name: tuple(b.shape) for name, b in model.named_buffers() if name in stored}
    rng = numpy.random.default_rng(fixture.seed)

    def values(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
        drawn = _values(name, shape, set(shapes), rng)
        if name.endswith(CHOICE_BIAS):
            drawn = drawn + fixture.choice_bias
        return _stored(name, drawn, fixture.config).astype(numpy.float32)

    tensors = {
        name: torch.from_numpy(values(name, shape))
        for name, shape in shapes.items()
    }
    if fixture.stacked:
        return tensors
    return {name: t.contiguous() for name, t in revert_weight_conversion(model, tensors).items()}


def _write_shards(tensors: dict[str, torch.Tensor], shards: int, folder: Path) -> None:
    names = sorted(tensors)
    per_shard = math.ceil(len(names) / shards)
    weight_map = {}
    for i in range(shards):
        part = names[i * per_shard : (i + 1) * per_shard]
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total_size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_folder(fixture: Fixture, dtype: str, folder: Path) -> None:
    """Writes config.json and the safetensors of one fixture in one storage type."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = json.dumps(config_json(fixture, dtype), indent=2)
    (folder / "config.json").write_text(config + "\n")
    weights = random_weights(fixture)
    if fixture.mxfp4:
        weights = quantised(weights)
    tensors = {
        k: v.to(TORCH_DTYPES[dtype]) if v.is_floating_point() else v for k, v in weights.items()
    }
    if fixture.shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    else:
        _write_shards(tensors, fixture.shards, folder)


def random_prompts(fixture: Fixture) -> list[list[int]]:
    """One prompt of each length. The longest begins with the first and the last id."""
    rng = numpy.random.default_rng(fixture.seed + 1)
    vocab_size = fixture.config["vocab_size"]
    prompts = [rng.integers(0, vocab_size, n).tolist() for n in fixture.prompt_lengths]
    max(prompts, key=len)[:2] = [0, vocab_size - 1]
    return prompts
