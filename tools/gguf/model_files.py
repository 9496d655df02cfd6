"""Hugging Face folders as GGUF files, written with Python `gguf` as llama.cpp's converter does.

Owns which metadata and which row order an architecture gets. Reads safetensors by hand, since numpy
has no bf16.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy

from mixtures import stacks_of

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "granite": gguf.MODEL_ARCH.GRANITE,
    "lfm2": gguf.MODEL_ARCH.LFM2,
    "lfm2_moe": gguf.MODEL_ARCH.LFM2MOE,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "qwen2_moe": gguf.MODEL_ARCH.QWEN2MOE,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "olmoe": gguf.MODEL_ARCH.OLMOE,
    "granitemoe": gguf.MODEL_ARCH.GRANITE_MOE,
    "granitemoeshared": gguf.MODEL_ARCH.GRANITE_MOE,
    "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "phi3": gguf.MODEL_ARCH.PHI3,
}
# LlamaModel.undo_permute, which SmolLM3Model and GraniteModel inherit.
GRANITES = {"granite", "granitemoe", "granitemoeshared"}
INTERLEAVED = {"llama", "mistral", "smollm3", "mixtral", *GRANITES}
GEMMAS = {"gemma2", "gemma3_text"}

TYPES = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
    "MXFP4": gguf.GGMLQuantizationType.MXFP4,
}


@dataclass
class Tensor:
    """As the test needs it to put the same file together from the folder's weights."""

    name: str
    dtype: str
    # Rows of one head where they are interleaved.
    head_size: int | None = None
    # Of a tensor that no folder has.
    values: list[float] | None = None
    # As mixtures.py has them.
    experts: int | None = None
    half: dict | None = None
    # Added to each value.
    plus: float | None = None


@dataclass
class Folder:
    config: dict
    # dtype, shape and bytes by name
    tensors: dict[str, tuple[str, list[int], bytes]] = field(default_factory=dict)

    def float32(self, name: str) -> numpy.ndarray:
        return as_float32(*self.tensors[name])


def read_folder(path: Path) -> Folder:
    folder = Folder(json.loads((path / "config.json").read_text()))
    for file in sorted(path.glob("*.safetensors")):
        raw = file.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8 : 8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + at for at in entry["data_offsets"])
            folder.tensors[name] = (entry["dtype"], entry["shape"], raw[begin:end])
    return folder


def as_float32(dtype: str, shape: list[int], raw: bytes) -> numpy.ndarray:
    if dtype == "BF16":
        words = numpy.frombuffer(raw, "<u2").astype("<u4") << 16
        return words.view("<f4").reshape(shape)
    return numpy.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[dtype]).astype("<f4").reshape(shape)


def from_float32(values: numpy.ndarray, dtype: str) -> numpy.ndarray:
    if dtype in ("F32", "MXFP4"):
        return values
    if dtype == "F16":
        return values.astype("<f2")
    if dtype.startswith("Q"):
        return gguf.quants.quantize(values, TYPES[dtype])
    # Only from BF16 to BF16 here: nothing is rounded.
    halves = (values.view("<u4") >> 16).astype("<u2")
    assert numpy.array_equal(halves.astype("<u4") << 16, values.view("<u4"))
    return halves.view(numpy.uint8).reshape(*values.shape[:-1], values.shape[-1] * 2)


def interleave(values: numpy.ndarray, head_size: int) -> numpy.ndarray:
    """Row h·H + p·H/2 + d to row h·H + 2·d + p."""
    heads = values.reshape(-1, 2, head_size // 2, *values.shape[1:])
    return heads.swapaxes(1, 2).reshape(values.shape)


def rope_divisors(config: dict, head_size: int) -> list[float] | None:
    """The factors that LlamaModel.generate_extra_tensors writes for a llama3 scaling."""
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") != "llama3":
        return None
    frequencies = config["rope_theta"] ** (-numpy.arange(0, head_size, 2) / head_size)
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * numpy.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = numpy.clip((turns - low) / (high - low), 0, 1)
    return (1 / (kept + (1 - kept) / scaling["factor"])).astype("<f4").tolist()


def add_config(writer: gguf.GGUFWriter, config: dict, head_size: int) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    is_lfm2 = config["model_type"] in ("lfm2", "lfm2_moe")
    if config["model_type"] != "lfm2":
        writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    if is_lfm2:
        add_convolutions(writer, config)
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["norm_eps" if is_lfm2 else "rms_norm_eps"])
    ropes = config.get("rope_parameters") or {}
    rope = ropes.get("full_attention", ropes)
    usual = 1_000_000.0 if config["model_type"] == "mixtral" else 10_000.0
    writer.add_rope_freq_base(config.get("rope_theta") or rope.get("rope_theta") or usual)
    if config.get("head_dim"):
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if config["model_type"] in INTERLEAVED:
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(head_size)
    if config["model_type"] in GRANITES:
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    add_experts(writer, config)
    add_rope_scaling(writer, config, head_size)
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        if config.get(cap):
            getattr(writer, f"add_{cap}")(config[cap])
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        writer.add_sliding_window(config["sliding_window"])
    if config["model_type"] == "gemma3_text":
        types = [kind == "sliding_attention" for kind in config.get("layer_types") or []]
        writer.add_sliding_window_pattern(types or config["sliding_window_pattern"])
        of_windows = config.get("rope_local_base_freq") or ropes["sliding_attention"]["rope_theta"]
        writer.add_rope_freq_base_swa(of_windows)


def add_rope_scaling(writer: gguf.GGUFWriter, config: dict, head_size: int) -> None:
    ropes = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or ropes.get("full_attention") or config
    kind = scaling.get("rope_type") or scaling.get("type")
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    if config["model_type"] == "phi3":
        context = config["max_position_embeddings"]
        first = config.get("original_max_position_embeddings", context)
        writer.add_rope_scaling_orig_ctx_len(first)
        writer.add_rope_dimension_count(int(config.get("partial_rotary_factor", 1) * head_size))
        if kind == "longrope":
            growth = max(0, math.log(context / first))
            writer.add_rope_scaling_attn_factors(math.sqrt(1 + growth / math.log(first)))


def add_experts(writer: gguf.GGUFWriter, config: dict) -> None:
    """What the converters write: no gating function, and no norm or scale of weights."""
    experts = config.get("num_experts") or config.get("num_local_experts")
    if not experts:
        return
    writer.add_expert_count(experts)
    writer.add_expert_used_count(config["num_experts_per_tok"])
    if config["model_type"] == "gpt_oss":
        writer.add_expert_feed_forward_length(config["intermediate_size"])
    if config.get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    shared = config.get("shared_expert_intermediate_size") or config.get("shared_intermediate_size")
    if shared:
        writer.add_expert_shared_feed_forward_length(shared)


def add_convolutions(writer: gguf.GGUFWriter, config: dict) -> None:
    """What LFM2Model writes: KV heads by layer, and the size that the MLP really has."""
    kv_heads = config["num_key_value_heads"]
    writer.add_head_count_kv(
        [kv_heads if kind == "full_attention" else 0 for kind in config["layer_types"]]
    )
    if config["model_type"] == "lfm2":
        size = int(2 * config["intermediate_size"] / 3 * config["block_ffn_dim_multiplier"])
        multiple = config["block_multiple_of"]
        writer.add_feed_forward_length(multiple * -(-size // multiple))
    else:
        writer.add_leading_dense_block_count(config["num_dense_layers"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_shortconv_l_cache(config["conv_L_cache"])


def add_tensors(writer: gguf.GGUFWriter, folder: Folder, dtype: str | None) -> list[Tensor]:
    """@param dtype Of matrices; the folder's own where None. Vectors are F32, as ggml wants them."""
    config = folder.config
    model_type = config["model_type"]
    names = gguf.get_tensor_name_map(ARCHITECTURES[model_type], config["num_hidden_layers"])
    head_size = head_size_of(config)
    tensors = []
    stacks, in_stacks = stacks_of(folder)
    for stack in stacks:
        to = stack.dtype if stack.dtype == "MXFP4" else dtype or stack.dtype
        if stack.gguf_name.endswith(".bias"):
            to = "F32"
        writer.add_tensor(stack.gguf_name, from_float32(stack.values, to), raw_dtype=TYPES[to])
        tensors.append(Tensor(stack.name, to, experts=stack.experts, half=stack.half))
    for name in sorted(folder.tensors.keys() - in_stacks):
        stored, shape, _ = folder.tensors[name]
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if name.endswith((".sinks", ".expert_bias")):
            gguf_name += ".weight" if name.endswith(".sinks") else ".bias"
        assert gguf_name, name
        is_convolution = name.endswith(".conv.conv.weight")
        is_exact = len(shape) == 1 or is_convolution or "ffn_gate_inp" in gguf_name
        to = "F32" if is_exact else dtype or stored
        if to == "Q4_0" and "embed" in name:
            # As Weft's --quant q4: the vocabulary keeps 8 bits.
            to = "Q8_0"
        is_qk = ".q_proj." in name or ".k_proj." in name
        interleaved = is_qk and model_type in INTERLEAVED
        values = folder.float32(name)
        if interleaved:
            values = interleave(values, head_size)
        if is_convolution:
            values = values.squeeze(1)
        plus = 1.0 if model_type in GEMMAS and name.endswith("norm.weight") else None
        if plus:
            values = values + numpy.float32(plus)
        writer.add_tensor(gguf_name, from_float32(values, to), raw_dtype=TYPES[to])
        tensors.append(Tensor(name, to, head_size if interleaved else None, plus=plus))
    divisors = rope_divisors(config, head_size)
    if divisors:
        writer.add_tensor("rope_freqs.weight", numpy.array(divisors, "<f4"))
        tensors.append(Tensor("rope_freqs.weight", "F32", values=divisors))
    for kind in ("long", "short") if model_type == "phi3" else ():
        factors = (config.get("rope_scaling") or {}).get(f"{kind}_factor")
        if factors:
            writer.add_tensor(f"rope_factors_{kind}.weight", numpy.array(factors, "<f4"))
            tensors.append(Tensor(f"rope_factors_{kind}.weight", "F32", values=factors))
    return tensors


def head_size_of(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
