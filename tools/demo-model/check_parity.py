"""Checks that other implementations agree with ours: nothing is written.

JavaScript (@huggingface/tokenizers and jinja, from the repository's node_modules): prompts and ids
of 200 samples, odd characters among them. transformers: tokenizer, template and logits.
Usage: python check_parity.py FOLDER
"""

import json
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path

import torch
from chat import answer_text, prompt_text
from grammar import training_items
from item import Item, user
from model import Rows
from tokenizer import load
from transformers import AutoModelForCausalLM, AutoTokenizer
from weights import load_folder

ODD = ["", " ", "\n\n\n", "  two  spaces\t\ttabs ", "Straße, naïve café", "日本語 🙂 👩‍👩‍👧", "x" * 300,
       "<think>\n</think>", "don't I'll we've", "1234567890 3.14 -5", "a<|im_end|>b"]  # fmt: skip


def samples() -> list[tuple[Item, bool]]:
    rng = random.Random(7)
    chosen = list(islice(training_items("parity"), 200 - len(ODD)))
    for text in ODD:
        chosen.append(Item("odd", [user(text)], text + ".", "", {}))
    return [(item, rng.random() < 0.5) for item in chosen]


def check_javascript(folder: Path) -> None:
    tokenizer, pairs = load(folder), samples()
    payload = [
        {"messages": item.messages, "tools": item.tools, "thinking": thinking,
         "answer": answer_text(item, thinking)}
        for item, thinking in pairs
    ]  # fmt: skip
    script = Path(__file__).with_name("parity.mjs")
    command = ["node", str(script), str(folder.resolve())]
    done = subprocess.run(command, input=json.dumps(payload), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    answer = json.loads(done.stdout)
    for (item, thinking), theirs in zip(pairs, answer["results"], strict=True):
        prompt, said = prompt_text(item, thinking), answer_text(item, thinking)
        assert theirs["prompt"] == prompt, (theirs["prompt"], prompt)
        assert theirs["ids"] == tokenizer.encode(prompt).ids, prompt
        assert theirs["answerIds"] == tokenizer.encode(said).ids, said
        assert theirs["decoded"] == said, (theirs["decoded"], said)
    assert "Unknown role" in answer["refusal"], answer["refusal"]
    print(f"JavaScript: {len(pairs)} prompts, their ids, answer ids and decoded texts are equal")


def check_transformers(folder: Path) -> None:
    pairs = samples()
    theirs = AutoTokenizer.from_pretrained(folder)
    for item, thinking in pairs:
        ids = theirs.apply_chat_template(
            item.messages, tools=item.tools, add_generation_prompt=True,
            enable_thinking=thinking, return_dict=False,
        )  # fmt: skip
        assert ids == load(folder).encode(prompt_text(item, thinking)).ids, item
    print(f"transformers: ids of {len(pairs)} prompts are equal")
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    config = json.loads((folder / "config.json").read_text())
    assert [type(reference).__name__] == config["architectures"]
    model, worst = load_folder(folder), 0.0
    with torch.inference_mode():
        for item, thinking in pairs[:20]:
            ids = torch.tensor(load(folder).encode(prompt_text(item, thinking)).ids)
            rows = Rows([(0, 1, len(ids))], torch.arange(len(ids)))
            keep = [True] * (2 * model.config.num_hidden_layers)
            ours = model.head(model.forward_rows(ids, rows, keep))
            logits = reference(ids[None]).logits[0]
            worst = max(worst, ((ours - logits).abs().max() / logits.std()).item())
    assert worst < 1e-4, worst
    print(f"transformers: largest logit difference is {worst:.1e} of the logits' deviation")


if __name__ == "__main__":
    check_javascript(Path(sys.argv[1]))
    check_transformers(Path(sys.argv[1]))
