"""Endless training batches: items to token ids, and rows of several lengths laid end to end.

A batch has exactly `tokens` ids, so that compiled code sees one shape. Rows are padded to a
multiple of 8 and grouped by length; causal attention stays inside a row.
"""

import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from chat import answer_text, prompt_text
from grammar import training_items
from item import Item
from model import Rows
from tokenizer import END_OF_TEXT, TURN_END, load
from torch import Tensor

ROW_STEP = 8
LONGEST = 512
SILENT_THINKING = {"arithmetic": 0.4}  # share of items asked with enable_thinking false
SILENT_OTHERWISE = 0.2


@dataclass
class Batch:
    ids: Tensor  # [tokens]
    rows: Rows
    predict: Tensor  # indices of the positions whose next token is learnt
    targets: Tensor  # their next tokens


class Corpus:
    def __init__(self, folder: Path, seed: int | str, tokens: int):
        self.tokenizer = load(folder)
        self.header = self.tokenizer.encode("<|im_start|>assistant\n").ids
        self.items = training_items(seed)
        self.rng = random.Random(seed)
        self.tokens = tokens
        self.waiting: list[tuple[list[int], list[bool]]] = []

    def document(self, item: Item) -> tuple[list[int], list[bool]]:
        """Ids, and for each whether it is learnt: what the assistant says, with its end of turn."""
        thinking = self.rng.random() >= SILENT_THINKING.get(item.task, SILENT_OTHERWISE)
        turns = [m for m in item.messages if m["role"] == "assistant"]
        learnt = [m.get("practised", True) for m in turns]
        prompt = self.tokenizer.encode(prompt_text(item, thinking)).ids
        mask, turn, at = [False] * len(prompt), 0, 0
        while turn < len(turns):
            if prompt[at : at + len(self.header)] == self.header:
                at += len(self.header)
                end = prompt.index(TURN_END, at)
                mask[at : end + 1] = [learnt[turn]] * (end + 1 - at)
                turn, at = turn + 1, end
            at += 1
        # Apart from the prompt, as at inference: a token never spans the border.
        answer = self.tokenizer.encode(answer_text(item, thinking) + "<|im_end|>").ids
        ids, mask = prompt + answer, mask + [True] * len(answer)
        return ids, mask

    def next_document(self) -> tuple[list[int], list[bool]]:
        while True:
            ids, mask = self.document(next(self.items))
            if len(ids) <= LONGEST:
                return ids, mask

    def batch(self) -> Batch:
        groups, used = defaultdict(list), 0
        while True:
            document = self.waiting.pop() if self.waiting else self.next_document()
            length = -(-len(document[0]) // ROW_STEP) * ROW_STEP
            if used + length > self.tokens:
                self.waiting.append(document)
                break
            groups[length].append(document)
            used += length
        ids = torch.full((self.tokens,), END_OF_TEXT)
        positions = torch.zeros(self.tokens, dtype=torch.long)
        predict, shapes, start = [], [], 0
        for length, documents in groups.items():
            shapes.append((start, len(documents), length))
            for document, mask in documents:
                ids[start : start + len(document)] = torch.tensor(document)
                positions[start : start + length] = torch.arange(length)
                predict += [start + at - 1 for at, learnt in enumerate(mask) if learnt]
                start += length
        if start < self.tokens:
            shapes.append((start, self.tokens - start, 1))
        index = torch.tensor(predict)
        return Batch(ids, Rows(shapes, positions), index, ids[index + 1])
