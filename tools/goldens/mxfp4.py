"""MXFP4 as gpt-oss stores its experts: numbers of four bits, and a power of two for each 32 of them.

Owns both directions; see OCP Microscaling Formats 1.0, section 5.3. transformers decodes to bf16
and needs a GPU's kernels for more, so `decoded` gives it a folder that is not quantised.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch
from safetensors.numpy import load_file, save_file

# E2M1 by code; the sign is the fourth bit.
_VALUES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
_BLOCK = 32
_BIAS = 127


def encode(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[E, rows, columns] -> blocks [E, rows, columns / 32, 16] and scales [E, rows, columns / 32]."""
    groups = matrices.unflatten(-1, (-1, _BLOCK))
    # The largest code is 6 = 1.5 * 2^2.
    exponents = groups.abs().amax(-1).log2().floor() - 2
    shares = groups / torch.exp2(exponents)[..., None]
    codes = (shares.abs()[..., None] - _VALUES).abs().argmin(-1) + 8 * (shares < 0)
    low, high = codes[..., 0::2], codes[..., 1::2]
    return (low + 16 * high).to(torch.uint8), (exponents + _BIAS).to(torch.uint8)


def decode(blocks: numpy.ndarray, scales: numpy.ndarray) -> numpy.ndarray:
    """Exactly, as float32. In numpy, since torch may be told to widen what it makes (float64.py)."""
    codes = numpy.stack((blocks & 15, blocks >> 4), -1).reshape(*blocks.shape[:-1], -1)
    values = _VALUES.numpy()[codes & 7] * numpy.where(codes > 7, -1, 1)
    scaled = numpy.ldexp(values, scales.astype(int)[..., None] - _BIAS)
    return scaled.reshape(*blocks.shape[:2], -1).astype(numpy.float32)


def quantised(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers holds experts as [E, in, out]; the checkpoint has [E, out, in], in blocks."""
    out = {}
    for name, tensor in tensors.items():
        if ".experts." in name and not name.endswith("bias"):
            blocks, scales = encode(tensor.transpose(1, 2))
            out |= {f"{name}_blocks": blocks.contiguous(), f"{name}_scales": scales.contiguous()}
        else:
            out[name] = tensor
    return out


@contextlib.contextmanager
def decoded(folder: Path) -> Iterator[Path]:
    """The folder itself, or for MXFP4 one with the very values in float32."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("quantization_config", {}).get("quant_method") != "mxfp4":
        yield folder
        return
    del config["quantization_config"]
    stored = load_file(folder / "model.safetensors")
    plain = {}
    for name, tensor in stored.items():
        if name.endswith("_blocks"):
            name = name.removesuffix("_blocks")
            values = decode(tensor, stored[f"{name}_scales"])
            plain[name] = numpy.ascontiguousarray(values.transpose(0, 2, 1))
        elif not name.endswith("_scales"):
            plain[name] = tensor
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "config.json").write_text(json.dumps(config))
        save_file(plain, Path(scratch) / "model.safetensors", {"format": "pt"})
        yield Path(scratch)
