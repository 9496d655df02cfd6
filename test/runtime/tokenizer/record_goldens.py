"""Records what the `tokenizers` library makes of the fixtures of fixtures.ts.

    python3 test/runtime/tokenizer/record_goldens.py

Reads the tokenizers from goldens.json and writes the cases back into it. goldens.test.ts checks
that those tokenizers are still the ones of fixtures.ts; after a change there, paste the new JSON.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, __version__

PATH = Path(__file__).with_name("goldens.json")
TEXTS = [
    "",
    "the the  the",
    " leading and trailing ",
    "Hello, world! It's 3.14 o'clock.\n\n\tEnd",
    "if (a) {\n    b += the[1];\n}",
    "naïve café – € 😀 👨‍👩‍👧",
    "日本語 한국어 العربية",
    "<|start|>the<|end|> the<think>a</think>｜tool｜b",
    "\u0000\u200b\ufeff e\u0301",
]


def main() -> None:
    goldens = json.loads(PATH.read_text())
    rng = random.Random(1)
    for entry in goldens["tokenizers"].values():
        tokenizer = Tokenizer.from_str(json.dumps(entry["tokenizer"]))
        entry["encode"] = [
            {
                "text": text,
                "ids": tokenizer.encode(text, add_special_tokens=False).ids,
                "withSpecial": tokenizer.encode(text, add_special_tokens=True).ids,
            }
            for text in TEXTS
        ]
        texts = [case["ids"] for case in entry["encode"]]
        # Added tokens are the last four ids. Single bytes come in whole characters only: what
        # becomes of broken UTF-8 differs between decoders, and no model is judged by it.
        size = tokenizer.get_vocab_size()
        mixed = [
            [id for ids in rng.sample(texts, 3) for id in [*ids, rng.randrange(size - 4, size)]]
            for _ in range(10)
        ]
        entry["decode"] = [
            {
                "ids": ids,
                "text": tokenizer.decode(ids, skip_special_tokens=True),
                "withSpecial": tokenizer.decode(ids, skip_special_tokens=False),
            }
            for ids in [*texts, *mixed]
        ]
    goldens["recordedWith"] = f"tokenizers {__version__}"
    PATH.write_text(json.dumps(goldens, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
