"""Writes test/fixtures/quant/demo.json: SHA-256 of the demo model's matrices in Q8_0 and Q4_0 by Python
`gguf`. Weft's own quantiser must give the very bytes, so what holds for one holds for the other.

    python tools/quant/demo_hashes.py       # needs: pip install numpy gguf==0.19.0 safetensors ml_dtypes
"""

import hashlib
import json
from pathlib import Path

import ml_dtypes  # noqa: F401  (registers bfloat16 with numpy)
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    hashes: dict[str, dict[str, str]] = {}
    with safe_open(ROOT / "assets/demo/model.safetensors", framework="np") as file:
        for name in sorted(file.keys()):
            values = file.get_tensor(name).astype(np.float32)
            if values.ndim == 2:
                hashes[name] = {
                    kind: hashlib.sha256(quantize(values, Type[kind]).tobytes()).hexdigest()
                    for kind in ("Q8_0", "Q4_0")
                }
    out = ROOT / "test/fixtures/quant/demo.json"
    out.write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
