"""Embeddings of the demo model by transformers: last_hidden_state in float64, pooled three ways.

    python tools/goldens/embeddings.py    # writes test/fixtures/demo/embeddings.json
"""

import json
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "What is 47 + 38?",
    "Tell me a story about a fox named Lily.",
    "Once upon a time, there was a small bear who lived near the river. " * 4,
]


def main() -> None:
    folder = ROOT / "assets" / "demo"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float64).eval()
    texts = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=True, return_tensors="pt").input_ids
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0]
        pooled = {"mean": hidden.mean(0), "last": hidden[-1], "cls": hidden[0]}
        texts.append(
            {
                "text": text,
                "numTokens": ids.shape[1],
                "pooled": {name: [round(v, 6) for v in p.tolist()] for name, p in pooled.items()},
            }
        )
    target = ROOT / "test" / "fixtures" / "demo" / "embeddings.json"
    target.write_text(json.dumps(texts) + "\n")


if __name__ == "__main__":
    main()
