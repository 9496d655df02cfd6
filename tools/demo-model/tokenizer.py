"""The demo's byte-level BPE: trained on the grammar's own text, at most 1,024 tokens.

Digits are single tokens. `<think>`, `<tool_call>` and `<tool_response>` are added tokens but not
special ones, as in Qwen3: decoding without special tokens keeps them in the text.
Usage: python tokenizer.py FOLDER
"""

import json
import random
import sys
from itertools import islice
from pathlib import Path

import lexicon
from chat import TEMPLATE, answer_text, prompt_text
from grammar import training_items
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB_SIZE = 1024
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
END_OF_TEXT, TURN_START, TURN_END = range(3)
TRAINING_ITEMS = 8_000
LISTED_WORDS = [
    *lexicon.WORDS, *lexicon.NAMES, *lexicon.CITIES, *lexicon.JOBS, *lexicon.ROOMS, *lexicon.DAYS
]  # fmt: skip


def train() -> dict:
    """The content of tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL + MARKS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["content"] in SPECIAL
    return content


def texts():
    # Each listed word is one token after a space and one after a quotation mark: what is told in
    # prose and repeated in JSON is then copied token by token, not spelt.
    for word in LISTED_WORDS:
        yield f' {word}"{word}' * 6000
    rng = random.Random(0)
    for item in islice(training_items(seed=0), TRAINING_ITEMS):
        thinking = rng.random() < 0.5
        yield prompt_text(item, thinking) + answer_text(item, thinking)


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(train(), ensure_ascii=False, indent=1) + "\n")
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text())
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "eos_token": SPECIAL[TURN_END],
            "model_max_length": 16384,
            "pad_token": SPECIAL[END_OF_TEXT],
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )
    write_json(
        folder / "generation_config.json",
        {
            "do_sample": False,
            "eos_token_id": [TURN_END, END_OF_TEXT],
            "pad_token_id": END_OF_TEXT,
        },
    )


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def load(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
