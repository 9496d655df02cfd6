"""A byte-level BPE tokenizer of the wanted size, trained on Python's own standard library: only the
size and plausible merges matter."""

import glob
import json
import re
import sysconfig
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from shape import MAX_POSITIONS


def train(vocab_size):
    """tokenizer.json, padded to `vocab_size` where the text was too short for so many merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train(training_files(80 if vocab_size <= 8192 else 900), trainer)
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    for token_id in range(len(vocab), vocab_size):
        vocab[f"<pad{token_id}>"] = token_id
    return data


def training_files(packages):
    library = sysconfig.get_paths()["stdlib"]
    paths = sorted(glob.glob(f"{library}/*.py"))
    paths += sorted(glob.glob(f"{library}/*/*.py"))[:packages]
    return [path for path in paths if is_utf8(path)]


def is_utf8(path):
    try:
        Path(path).read_text(encoding="utf-8")
        return True
    except UnicodeDecodeError:
        return False


def one_token_words(data):
    """[id, text] of words that are one token wherever they stand, so that a prompt given as text has
    a known count of tokens: wllama takes no ids."""
    tokenizer = Tokenizer.from_str(json.dumps(data))
    words = [
        [token_id, " " + token[1:]]
        for token, token_id in sorted(data["model"]["vocab"].items(), key=lambda item: item[1])
        if re.fullmatch("\u0120[a-z]{2,}", token)
    ]
    return [[i, word] for i, word in words if tokenizer.encode(word + word).ids == [i, i]]


TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "model_max_length": MAX_POSITIONS,
    "clean_up_tokenization_spaces": False,
}
