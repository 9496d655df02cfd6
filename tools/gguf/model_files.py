"""Hugging Face folders as GGUF files, written with Python `gguf` as llama.cpp's converter does.

Owns which metadata and which row order an architecture gets. Reads safetensors by hand, since numpy
has no bf16.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "granite": gguf.MODEL_ARCH.GRANITE,
    "lfm2": gguf.MODEL_ARCH.LFM2,
}
# LlamaModel.undo_permute, which SmolLM3Model and GraniteModel inherit.
INTERLEAVED = {"llama", "mistral", "smollm3", "granite"}

TYPES = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
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


@dataclass
class Folder:
    config: dict
    # dtype, shape and bytes by name
    tensors: dict[str, tuple[str, list[int], bytes]] = field(default_factory=dict)


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
    if dtype == "F32":
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
    is_lfm2 = config["model_type"] == "lfm2"
    if not is_lfm2:
        writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    if is_lfm2:
        add_convolutions(writer, config)
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["norm_eps" if is_lfm2 else "rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    if config.get("head_dim"):
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if config["model_type"] in INTERLEAVED:
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(head_size)
    if config["model_type"] == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    scaling = config.get("rope_scaling") or config or {}
    if (scaling.get("rope_type") or scaling.get("type")) == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        writer.add_sliding_window(config["sliding_window"])


def add_convolutions(writer: gguf.GGUFWriter, config: dict) -> None:
    """What LFM2Model writes: KV heads by layer, and the size that the MLP really has."""
    kv_heads = config["num_key_value_heads"]
    writer.add_head_count_kv(
        [kv_heads if kind == "full_attention" else 0 for kind in config["layer_types"]]
    )
    size = int(2 * config["intermediate_size"] / 3 * config["block_ffn_dim_multiplier"])
    multiple = config["block_multiple_of"]
    writer.add_feed_forward_length(multiple * -(-size // multiple))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_shortconv_l_cache(config["conv_L_cache"])


def add_tensors(writer: gguf.GGUFWriter, folder: Folder, dtype: str | None) -> list[Tensor]:
    """@param dtype Of matrices; the folder's own where None. Vectors are F32, as ggml wants them."""
    config = folder.config
    model_type = config["model_type"]
    names = gguf.get_tensor_name_map(ARCHITECTURES[model_type], config["num_hidden_layers"])
    head_size = head_size_of(config)
    tensors = []
    for name in sorted(folder.tensors):
        stored, shape, raw = folder.tensors[name]
        is_convolution = name.endswith(".conv.conv.weight")
        to = "F32" if len(shape) == 1 or is_convolution else dtype or stored
        if to == "Q4_0" and "embed" in name:
            # As Weft's --quant q4: the vocabulary keeps 8 bits.
            to = "Q8_0"
        is_qk = ".q_proj." in name or ".k_proj." in name
        interleaved = is_qk and model_type in INTERLEAVED
        values = as_float32(stored, shape, raw)
        if interleaved:
            values = interleave(values, head_size)
        if is_convolution:
            values = values.squeeze(1)
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert gguf_name, name
        writer.add_tensor(gguf_name, from_float32(values, to), raw_dtype=TYPES[to])
        tensors.append(Tensor(name, to, head_size if interleaved else None))
    divisors = rope_divisors(config, head_size)
    if divisors:
        writer.add_tensor("rope_freqs.weight", numpy.array(divisors, "<f4"))
        tensors.append(Tensor("rope_freqs.weight", "F32", values=divisors))
    return tensors


def head_size_of(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
