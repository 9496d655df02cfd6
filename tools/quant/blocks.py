"""Writes test/fixtures/quant: random blocks of each GGUF type and their float32 values by Python `gguf`.

Any bytes are valid blocks, but f16 fields must be finite: scales of real models are, and infinities
would hide every other difference. Scales span normal halves of both signs; subnormal ones may be
flushed by a GPU, so there are none.

    python tools/quant/blocks.py            # needs: pip install numpy gguf==0.19.0
"""

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

OUT = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "quant"
ROWS, COLUMNS = 3, 1024
# Byte offsets of the f16 fields in a block.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for name, halves in HALVES.items():
        kind = Type[name]
        weights, size = GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (ROWS * COLUMNS // weights, size), dtype=np.uint8)
        for at in halves:
            magnitude = 2.0 ** random.uniform(-13, -2, len(blocks))
            scale = (magnitude * random.choice([-1, 1], len(blocks))).astype(np.float16)
            blocks[:, at : at + 2] = scale.view(np.uint8).reshape(-1, 2)
        blocks = blocks.reshape(ROWS, -1)
        values = dequantize(blocks, kind).astype(np.float32)
        assert values.shape == (ROWS, COLUMNS) and np.isfinite(values).all()
        (OUT / f"{name.lower()}.blocks.bin").write_bytes(blocks.tobytes())
        (OUT / f"{name.lower()}.values.bin").write_bytes(values.astype("<f4").tobytes())
    sizes = {"rows": ROWS, "columns": COLUMNS, "formats": [name.lower() for name in HALVES]}
    (OUT / "index.json").write_text(json.dumps(sizes, indent=2) + "\n")


if __name__ == "__main__":
    main()
