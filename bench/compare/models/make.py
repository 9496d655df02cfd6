"""Write one random model three ways, for engines that read different files:

    python make.py 5m FOLDER

FOLDER/rand-5m/          Hugging Face: config.json, tokenizer.json, model.safetensors (f16)
FOLDER/rand-5m/onnx/     model.onnx (fp32), model_q4.onnx
FOLDER/rand-5m-*.gguf    F16, Q8_0, Q4_0
"""

import json
import sys
from pathlib import Path

from safetensors.numpy import save_file

from gguf_file import write_gguf
from onnx_file import write_onnx
from shape import BOS, EOS, SIZES, config
from tokenizer import TOKENIZER_CONFIG, one_token_words, train
from weights import random_weights


def make(size, folder):
    model = folder / f"rand-{size}"
    (model / "onnx").mkdir(parents=True, exist_ok=True)
    model_config = config(size)
    tokenizer = train(model_config["vocab_size"])
    words = one_token_words(tokenizer)
    weights = random_weights(model_config, [token_id for token_id, _ in words])
    for name, value in {
        "config": model_config,
        "generation_config": {"bos_token_id": BOS, "eos_token_id": EOS},
        "tokenizer": tokenizer,
        "tokenizer_config": TOKENIZER_CONFIG,
        "words": words,
    }.items():
        (model / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    for kind in ("F16", "Q8_0", "Q4_0"):
        path = folder / f"rand-{size}-{kind}.gguf"
        write_gguf(path, model_config, weights, tokenizer, kind)
    write_onnx(model / "onnx" / "model.onnx", model_config, weights, quantised=False)
    write_onnx(model / "onnx" / "model_q4.onnx", model_config, weights, quantised=True)
    parameters = sum(values.size for values in weights.values())
    print(f"rand-{size}: {parameters / 1e6:.1f} M parameters", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SIZES:
        sys.exit(f"usage: python make.py {'|'.join(SIZES)} FOLDER")
    make(sys.argv[1], Path(sys.argv[2]))
