"""Golden logits of one model folder: computed, written, read back.

Owns the file format (see docs/goldens.md). Refuses to judge a fixture: that is `acceptance.py`.
"""

import dataclasses
from pathlib import Path

import numpy
import torch
from transformers import PreTrainedModel

from float64 import load_float64, logits_float64

LOGITS_SUFFIX = ".f32"
LOGITS_FILE = f"logits{LOGITS_SUFFIX}"

# The engine's tolerance for f32 storage, in standard deviations of the logits.
F32_TOLERANCE = 1e-4
# And for f16 storage.
F16_MAX_TOLERANCE = 3e-2
F16_RMS_TOLERANCE = 5e-3


@dataclasses.dataclass(frozen=True)
class Golden:
    """`logits[i]` is [T,V] in float64 for `prompts[i]`; `std` is over all of them together."""

    folder: Path
    model: PreTrainedModel
    prompts: list[list[int]]
    logits: list[torch.Tensor]

    @property
    def name(self) -> str:
        """The folder relative to the fixtures' root, such as `llama/f32`."""
        return "/".join(self.folder.parts[-2:])

    @property
    def std(self) -> float:
        return float(torch.cat([x.flatten() for x in self.logits]).std(correction=0))

    def difference(self, others: list[torch.Tensor]) -> tuple[float, float]:
        """Largest and root-mean-square difference over all prompts, in standard deviations."""
        pairs = zip(self.logits, others, strict=True)
        d = torch.cat([(x - y.double()).flatten() for x, y in pairs]) / self.std
        return float(d.abs().max()), float(d.square().mean().sqrt())


def compute(folder: Path, prompts: list[list[int]]) -> Golden:
    """Runs transformers in float64 on the weights stored in `folder`."""
    model = load_float64(folder)
    return Golden(folder, model, prompts, [logits_float64(model, ids) for ids in prompts])


def write_logits(golden: Golden, file: str = LOGITS_FILE) -> None:
    """Little-endian float32, prompt after prompt, each [T,V] row-major, no header.

    Rounding costs at most 2^-24 of a logit: a thousandth of the tolerance.
    """
    flat = numpy.concatenate([x.numpy().ravel() for x in golden.logits])
    (golden.folder / file).write_bytes(flat.astype("<f4").tobytes())


def read_logits(
    folder: Path, prompts: list[list[int]], vocab_size: int, file: str = LOGITS_FILE
) -> list[torch.Tensor]:
    """The stored logits, [T,V] per prompt. Raises ValueError if the file has another size."""
    flat = numpy.fromfile(folder / file, "<f4")
    wanted = sum(map(len, prompts)) * vocab_size
    if flat.size != wanted:
        raise ValueError(f"{folder / file} holds {flat.size} values, {wanted} are required")
    rows = torch.from_numpy(flat.reshape(-1, vocab_size))
    return list(rows.split([len(ids) for ids in prompts]))
