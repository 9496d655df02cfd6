"""Writes test/fixtures/int4: random 4-bit groups as MLX, AWQ and GPTQ store them, one layer a file, and
their float32 values by the definition of each upstream.

Any words are valid codes and zero points. Scales and biases span normal halves of both signs. Values
are computed in float32 from the stored numbers: MLX, AutoAWQ and AutoGPTQ compute the same in the type
of the scales and round once more.

    python tools/quant/groups.py            # needs: pip install numpy
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "int4"
ROWS, COLUMNS = 16, 256
DTYPES = {"f16": "F16", "bf16": "BF16", "f32": "F32"}

# method, type of the scales, columns of a group (-1: all), and what else config.json says
CASES = [
    *[("mlx", scale, group, {}) for scale in ("f16", "bf16") for group in (32, 64, 128)],
    ("mlx", "f32", 64, {"mode": "affine"}),
    *[("awq", "f16", group, {"version": "gemm"}) for group in (32, 64, 128, -1)],
    *[("awq", "bf16", group, {}) for group in (32, 64, 128)],
    *[("gptq", "f16", group, {"desc_act": False}) for group in (32, 64, 128, -1)],
    ("gptq", "bf16", 64, {"checkpoint_format": "gptq"}),
    ("gptq", "f16", 128, {"checkpoint_format": "gptq_v2"}),
]


def numbers(random, shape, scale_type):
    """Stored bytes and float32 values of random scales or biases."""
    values = 2.0 ** random.uniform(-13, -2, shape) * random.choice([-1, 1], shape)
    if scale_type == "f16":
        stored = values.astype(np.float16)
        return stored, stored.astype(np.float32)
    stored = values.astype(np.float32)
    if scale_type == "f32":
        return stored, stored
    halves = (stored.view(np.uint32) >> 16).astype(np.uint16)
    return halves, (halves.astype(np.uint32) << 16).view(np.float32)


def nibbles(words, order=range(8)):
    """[..., n] words to [..., 8n] codes; code i of eight is nibble order[i]."""
    shifts = np.array([4 * i for i in order], np.uint32)
    return ((words[..., None] >> shifts) & 15).reshape(*words.shape[:-1], -1).astype(np.float32)


def words_of(random, shape):
    return random.integers(0, 2**32, shape, dtype=np.uint32)


def mlx(random, scale_type, group, _):
    """mlx.core.dequantize: scale · code + bias."""
    words = words_of(random, (ROWS, COLUMNS // 8))
    scales, s = numbers(random, (ROWS, COLUMNS // group), scale_type)
    biases, b = numbers(random, (ROWS, COLUMNS // group), scale_type)
    values = s.repeat(group, 1) * nibbles(words) + b.repeat(group, 1)
    dtype = DTYPES[scale_type]
    return values, {
        "weight": ("U32", words),
        "scales": (dtype, scales),
        "biases": (dtype, biases),
    }


AWQ_REVERSE_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


def awq(random, scale_type, group, _):
    """AutoAWQ dequantize_gemm: (code − zero) · scale."""
    words = words_of(random, (COLUMNS, ROWS // 8))
    zeros = words_of(random, (COLUMNS // group, ROWS // 8))
    scales, s = numbers(random, (COLUMNS // group, ROWS), scale_type)
    z = nibbles(zeros, AWQ_REVERSE_ORDER).repeat(group, 0)
    values = (nibbles(words, AWQ_REVERSE_ORDER) - z) * s.repeat(group, 0)
    return values.T, {
        "qweight": ("I32", words),
        "qzeros": ("I32", zeros),
        "scales": (DTYPES[scale_type], scales),
    }


def gptq(random, scale_type, group, config):
    """AutoGPTQ QuantLinear.forward: scale · (code − zero), where zeros are stored less one."""
    words = words_of(random, (COLUMNS // 8, ROWS))
    zeros = words_of(random, (COLUMNS // group, ROWS // 8))
    scales, s = numbers(random, (COLUMNS // group, ROWS), scale_type)
    order = (np.arange(COLUMNS) // group).astype(np.int32)
    shift = 0 if config.get("checkpoint_format") == "gptq_v2" else 1
    z = (nibbles(zeros) + shift) % 16
    codes = nibbles(words.T).T
    values = s[order] * (codes - z[order])
    return values.T, {
        "qweight": ("I32", words),
        "qzeros": ("I32", zeros),
        "scales": (DTYPES[scale_type], scales),
        "g_idx": ("I32", order),
    }


def safetensors(tensors):
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[f"layer.{name}"] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    cases = []
    for method, scale_type, group, extra in CASES:
        columns = COLUMNS if group == -1 else group
        make = {"mlx": mlx, "awq": awq, "gptq": gptq}[method]
        values, tensors = make(random, scale_type, columns, extra)
        values = np.ascontiguousarray(values)
        assert values.dtype == np.float32 and values.shape == (ROWS, COLUMNS)
        settings = {"bits": 4, "group_size": group, **extra}
        config = (
            {"quantization": settings}
            if method == "mlx"
            else {"quantization_config": {"quant_method": method, **settings}}
        )
        version = "_v2" if extra.get("checkpoint_format") == "gptq_v2" else ""
        name = f"{method}{version}_{scale_type}_g{columns}"
        (OUT / f"{name}.safetensors").write_bytes(safetensors(tensors))
        (OUT / f"{name}.values.bin").write_bytes(values.tobytes())
        cases.append({"name": name, "config": config})
    index = {"rows": ROWS, "columns": COLUMNS, "cases": cases}
    (OUT / "index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
