"""Vocabularies as GGUF metadata, and small trained ones with the ids of other libraries.

Owns the kinds of tokens. The byte-level ones are trained with `tokenizers`, the SentencePiece one
with `sentencepiece`, whose ids are the truth that the tests compare with.
"""

import io
from pathlib import Path

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import decoders as decoders_

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {
    "llama-bpe": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST,
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST,
    # tiktoken's o200k.
    "gpt-4o": rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|\p{{N}}{{1,3}}"
    + REST.replace(r"[\r\n]*", r"[\r\n/]*", 1),
}

CORPUS = [
    "The cat's hat isn't where they've left it; I'll look, you'd wait, we're late, I'm sorry.",
    "In 1984 and 2001 there were 12345 birds, 67 cats and 3 dogs. 3.14 is not 22/7!",
    "der Fluß fließt über große Steine, naïve façade, coöperate, Ελλάδα, Москва, 日本語のテキスト",
    "def f(x):\n    return x + 1\n\n\nif __name__ == '__main__':\n\tprint(f(2))\r\n",
    "warp weft warp weft weave woven weaver weaving the thread across the loom",
] * 4

TEXTS = [
    "",
    " ",
    "The weft isn't the warp, they've said; WE'LL see.",
    "  two  spaces   three    four\n\n\nlines\r\n\ttabs \t end ",
    "1 12 123 1234 12345 3.14159 1,000,000",
    "e\u0301te\u0301 naïve façade Ångström ﬁne",
    "日本語 中文 한국어 Ελλάδα Москва नमस्ते",
    "🙂👩‍👩‍👧 ✅ €5 ½ ² ７",
    "def f(x):\n    return x + 1\n",
    "<|start|>user\nHello<|end|> and <think>more</think>",
    "____====____!!!???...",
    "it'S I'M 'tis 'Re",
]


def byte_level(pre: str) -> Tokenizer:
    """A vocabulary of 400 tokens with the pre-tokenizer that GGUF calls `pre`."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders_.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["<|start|>", "<|end|>"])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    if pre == "llama-bpe":
        start = tokenizer.token_to_id("<|start|>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|start|> $A", pair="<|start|> $A $B", special_tokens=[("<|start|>", start)]
        )
    return tokenizer


def add_byte_level(writer: gguf.GGUFWriter, tokenizer: dict, pre: str) -> None:
    """A parsed tokenizer.json with BPE over byte letters."""
    added = {token["id"]: token for token in tokenizer["added_tokens"]}
    texts = {i: text for text, i in tokenizer["model"]["vocab"].items()}
    texts |= {i: token["content"] for i, token in added.items()}
    kinds = [
        gguf.TokenType.NORMAL
        if i not in added
        else gguf.TokenType.CONTROL
        if added[i]["special"]
        else gguf.TokenType.USER_DEFINED
        for i in range(len(texts))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([texts[i] for i in range(len(texts))])
    writer.add_token_types(kinds)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])


def sentence_piece() -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        user_defined_symbols=["<think>"],
        control_symbols=["<|end|>"],
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def add_sentence_piece(writer: gguf.GGUFWriter, pieces: sentencepiece.SentencePieceProcessor) -> None:
    def kind(i: int) -> int:
        if pieces.IsUnknown(i):
            return gguf.TokenType.UNKNOWN
        if pieces.IsControl(i):
            return gguf.TokenType.CONTROL
        if pieces.IsUnused(i):
            return gguf.TokenType.UNUSED
        if pieces.IsByte(i):
            return gguf.TokenType.BYTE
        is_user_defined = pieces.IdToPiece(i) == "<think>"
        return gguf.TokenType.USER_DEFINED if is_user_defined else gguf.TokenType.NORMAL

    ids = range(pieces.GetPieceSize())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.IdToPiece(i) for i in ids])
    writer.add_token_scores([pieces.GetScore(i) for i in ids])
    writer.add_token_types([kind(i) for i in ids])
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(pieces.eos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_add_bos_token(True)
