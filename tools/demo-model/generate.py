"""Greedy decoding of many prompts at once with a KV cache.

Prompts are padded on the left; a padded position sees only itself, so it disturbs nobody.
"""

import torch
from model import Cache, DemoModel
from tokenizer import END_OF_TEXT, TURN_END
from tokenizers import Tokenizer

MAX_NEW_TOKENS = 220


@torch.inference_mode()
def generate_ids(model: DemoModel, prompts: list[list[int]]) -> list[list[int]]:
    """Answers as ids, without the end-of-turn token; an unfinished one ends with END_OF_TEXT."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), END_OF_TEXT)
    real = torch.zeros(len(prompts), longest + MAX_NEW_TOKENS, dtype=torch.bool)
    real[:, longest:] = True
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        real[row, longest - len(prompt) : longest] = True
    positions = (real[:, :longest].cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    mask = (causal & real[:, None, :longest]) | torch.eye(longest, dtype=torch.bool)
    cache = Cache(model.config, len(prompts), longest + MAX_NEW_TOKENS)
    answers: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    logits = model.forward_cached(ids, positions, mask[:, None], cache)
    for step in range(MAX_NEW_TOKENS):
        chosen = logits.argmax(-1)
        for row in list(open_rows):
            token = chosen[row].item()
            if token == TURN_END:
                open_rows.discard(row)
            else:
                answers[row].append(token)
        if not open_rows:
            return answers
        positions = positions[:, -1:] + 1
        mask = real[:, None, None, : longest + step + 1]
        logits = model.forward_cached(chosen[:, None], positions, mask, cache)
    for row in open_rows:
        answers[row].append(END_OF_TEXT)
    return answers


def generate_texts(model: DemoModel, tokenizer: Tokenizer, prompts: list[str]) -> list[str]:
    """Answers as text, in the order of the prompts; batches hold prompts of similar length."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(prompts)]
    order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), 100):
        chunk = order[start : start + 100]
        for index, ids in zip(chunk, generate_ids(model, [encoded[i] for i in chunk])):
            texts[index] = tokenizer.decode(ids, skip_special_tokens=False)
    return texts
