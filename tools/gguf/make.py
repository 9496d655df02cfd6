"""Writes test/fixtures/gguf: what Python `gguf` makes of models and vocabularies.

Of a model only the front of the file is kept, with the SHA-256 of the whole: the tests put the rest
together from the weights that the repository has already, and prove by the sum that they did.

    python tools/gguf/make.py
"""

import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path

import gguf

from model_files import ARCHITECTURES, add_config, add_tensors, head_size_of, read_folder
from tokenizers_of import PATTERNS, TEXTS, add_byte_level, add_sentence_piece, byte_level, sentence_piece

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "test" / "fixtures" / "gguf"
DEMO = ROOT / "assets" / "demo"
GOLDENS = [
    "llama/f32",
    "llama/f16",
    "llama-bias/f32",
    "llama-linear/f32",
    "llama-llama3/f32",
    "mistral/bf16",
    "qwen2/f32",
    "qwen3/f16",
    "smollm3/f32",
    "granite/f32",
    "lfm2/f32",
    "lfm2-moe/f32",
    "mixtral/f32",
    "qwen2-moe/f32",
    "qwen3-moe/f32",
    "olmoe/f32",
    "granitemoe/f32",
    "granitemoeshared/f32",
    "gpt-oss/f32",
    "gemma2/f32",
    "gemma3_text/bf16",
    "gemma3_text/f32",
    "gemma3_text-linear/f32",
    "olmo2/f32",
    "phi3/f32",
    "phi3-long/f32",
]


def new_writer(name: str, architecture: str) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path=None, arch=architecture)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    return writer


def file_bytes(writer: gguf.GGUFWriter) -> tuple[bytes, int]:
    """The file, and where its data begins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        if not writer.tensors or not writer.tensors[0]:
            writer.close()
            return path.read_bytes(), path.stat().st_size
        writer.write_tensors_to_file()
        writer.close()
        data = gguf.GGUFReader(path).data_offset
        return path.read_bytes(), data


def write_model(name: str, source: Path, dtype: str | None, index: list) -> None:
    folder = read_folder(source)
    architecture = gguf.MODEL_ARCH_NAMES[ARCHITECTURES[folder.config["model_type"]]]
    writer = new_writer(name, architecture)
    add_config(writer, folder.config, head_size_of(folder.config))
    if source == DEMO:
        add_demo_texts(writer)
    tensors = add_tensors(writer, folder, dtype)
    raw, data = file_bytes(writer)
    (OUT / f"{name}.head").write_bytes(raw[:data])
    index.append(
        {
            "name": name,
            "source": str(source.relative_to(ROOT)),
            "sizeBytes": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
            "tensors": [
                {k: v for k, v in dataclasses.asdict(t).items() if v is not None} for t in tensors
            ],
        }
    )


def add_demo_texts(writer: gguf.GGUFWriter) -> None:
    """Its words are cut as SmolLM's: single digits, then GPT-2's pattern."""
    tokenizer = json.loads((DEMO / "tokenizer.json").read_text())
    generation = json.loads((DEMO / "generation_config.json").read_text())
    add_byte_level(writer, tokenizer, "smollm")
    writer.add_eos_token_id(generation["eos_token_id"][0])
    writer.add_pad_token_id(generation["pad_token_id"])
    writer.add_chat_template((DEMO / "chat_template.jinja").read_text())
    writer.add_float32("general.sampling.temp", 0.0)


def write_vocabularies() -> None:
    goldens = {}
    for pre in PATTERNS:
        tokenizer = byte_level(pre)
        parsed = json.loads(tokenizer.to_str())
        writer = new_writer(pre, "llama")
        add_byte_level(writer, parsed, pre)
        writer.add_bos_token_id(tokenizer.token_to_id("<|start|>"))
        writer.add_eos_token_id(tokenizer.token_to_id("<|end|>"))
        (OUT / f"{pre}.gguf").write_bytes(file_bytes(writer)[0])
        encode = [
            {
                "text": text,
                "ids": tokenizer.encode(text, add_special_tokens=False).ids,
                "withSpecial": tokenizer.encode(text).ids,
            }
            for text in TEXTS
        ]
        goldens[pre] = {"tokenizer": parsed, "encode": encode}
    pieces = sentence_piece()
    writer = new_writer("sentencepiece", "llama")
    add_sentence_piece(writer, pieces)
    (OUT / "sentencepiece.gguf").write_bytes(file_bytes(writer)[0])
    # Texts with special tokens are cut by whoever calls SentencePiece.
    plain = [text for text in TEXTS if "<|" not in text]
    goldens["sentencepiece"] = {
        "encode": [
            {"text": t, "ids": pieces.Encode(t), "withSpecial": [pieces.bos_id(), *pieces.Encode(t)]}
            for t in plain
        ]
    }
    text = json.dumps(goldens, ensure_ascii=False, separators=(",", ":"))
    (OUT / "vocabularies.json").write_text(text + "\n")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    index: list = []
    for golden in GOLDENS:
        source = ROOT / "test" / "fixtures" / "goldens" / golden
        write_model(golden.replace("/", "-"), source, None, index)
    experts = ROOT / "test" / "fixtures" / "goldens" / "qwen3-moe" / "f32"
    for dtype in ("Q8_0", "Q4_0"):
        write_model(f"qwen3-moe-{dtype.lower()}", experts, dtype, index)
    for dtype in ("F16", "F32", "Q8_0", "Q4_0"):
        write_model(f"demo-{dtype.lower()}", DEMO, dtype, index)
    (OUT / "models.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    write_vocabularies()


if __name__ == "__main__":
    main()
