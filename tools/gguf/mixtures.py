"""Experts of Hugging Face folders as GGUF has them: one tensor for all of a layer's gates, one for all
values, one for all outputs. Owns how the families' folders keep them.
"""

import re
from dataclasses import dataclass

import gguf
import numpy

STACKS = {
    "gate_proj": gguf.MODEL_TENSOR.FFN_GATE_EXP,
    "up_proj": gguf.MODEL_TENSOR.FFN_UP_EXP,
    "down_proj": gguf.MODEL_TENSOR.FFN_DOWN_EXP,
}
MIXTRAL = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}
SHARED = (gguf.MODEL_TENSOR.FFN_GATE_SHEXP, gguf.MODEL_TENSOR.FFN_UP_SHEXP)
ONE_BY_ONE = re.compile(r"model\.layers\.(\d+)\.(.+\.experts)\.0\.(\w+)\.weight")
BOTH = re.compile(r"model\.layers\.(\d+)\.(block_sparse_moe|shared_mlp)\.input_linear\.weight")
GPT_OSS = re.compile(r"model\.layers\.(\d+)\.mlp\.experts\.(gate_up|down)_proj_(bias|blocks)")


@dataclass
class Stack:
    gguf_name: str
    # In the folder; * stands for the number of each expert.
    name: str
    values: numpy.ndarray
    dtype: str
    experts: int | None = None
    # Which of gates and values; of how many matrices; how long a row is where theirs alternate.
    half: dict | None = None


def stacks_of(folder) -> tuple[list[Stack], set[str]]:
    """And the names of the folder's tensors that they are made of."""
    stacks: list[Stack] = []
    used: set[str] = set()
    for name in sorted(folder.tensors):
        if match := ONE_BY_ONE.fullmatch(name):
            stacks.append(one_by_one(folder, name, *match.groups(), used))
        elif match := BOTH.fullmatch(name):
            used.add(name)
            values = folder.float32(name)
            is_shared = match[2] == "shared_mlp"
            matrices = 1 if is_shared else len(values)
            kinds = SHARED if is_shared else (STACKS["gate_proj"], STACKS["up_proj"])
            for index, kind in enumerate(kinds):
                half = numpy.split(values, 2, axis=-2)[index]
                place = {"index": index, "matrices": matrices}
                stacks.append(
                    Stack(weight(kind, match[1]), name, half, folder.tensors[name][0], half=place)
                )
        elif match := GPT_OSS.fullmatch(name):
            stacks.extend(gpt_oss(folder, name, *match.groups(), used))
    return stacks, used


def weight(kind: gguf.MODEL_TENSOR, layer: str, suffix: str = "weight") -> str:
    return f"{gguf.TENSOR_NAMES[kind].format(bid=layer)}.{suffix}"


def one_by_one(folder, name: str, layer: str, module: str, matrix: str, used: set[str]) -> Stack:
    pattern = f"model.layers.{layer}.{module}.*.{matrix}.weight"
    names = []
    while (own := pattern.replace("*", str(len(names)))) in folder.tensors:
        names.append(own)
    used.update(names)
    values = numpy.stack([folder.float32(own) for own in names])
    kind = STACKS[MIXTRAL.get(matrix, matrix)]
    return Stack(
        weight(kind, layer), pattern, values, folder.tensors[name][0], experts=len(names)
    )


def gpt_oss(folder, name: str, layer: str, which: str, what: str, used: set[str]) -> list[Stack]:
    """What GptOssModel.generate_extra_tensors and modify_tensors write."""
    used.add(name)
    if what == "bias":
        values, dtype, suffix = folder.float32(name), "F32", "bias"
    else:
        used.add(name.replace("_blocks", "_scales"))
        values, dtype, suffix = blocks_of(folder, name), "MXFP4", "weight"
        name = name.removesuffix("_blocks")
    if which == "down":
        return [Stack(weight(STACKS["down_proj"], layer, suffix), name, values, dtype)]
    row = 1 if what == "bias" else values.shape[-1] // 17 * 18
    return [
        Stack(
            weight(STACKS[f"{kind}_proj"], layer, suffix),
            name,
            numpy.ascontiguousarray(values[:, index::2]),
            dtype,
            half={"index": index, "matrices": len(values), "row": row},
        )
        for index, kind in enumerate(("gate", "up"))
    ]


def blocks_of(folder, name: str) -> numpy.ndarray:
    """block_mxfp4: the exponent, then 16 bytes with numbers i and i + 16 in the nibbles of byte i."""
    codes, scales = (
        numpy.frombuffer(raw, "u1").reshape(shape)
        for _, shape, raw in (
            folder.tensors[own] for own in (name, name.replace("_blocks", "_scales"))
        )
    )
    numbers = numpy.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:-1], 32)
    nibbles = numbers[..., :16] | (numbers[..., 16:] << 4)
    blocks = numpy.concatenate([scales[..., None], nibbles], axis=-1)
    return blocks.reshape(*blocks.shape[:-2], -1)
