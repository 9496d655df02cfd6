"""Compares Weft with Hugging Face transformers on one model folder, and says which is right.

    python tools/verify_model.py FOLDER [--ids 1,5,9 | --prompt TEXT] [--float64] [--weft CMD]
                                 [-- ARGUMENTS FOR weft logits]

Owns the comparison and the verdict. Refuses to download anything: the folder must be complete.
Exit status: 0 within tolerance, 1 otherwise or if either side could not run, 2 for bad usage.
"""

import argparse
import dataclasses
import json
import math
import random
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import safetensors
import torch
import transformers

from goldens.float64 import load, load_float64, logits_float64

DEFAULT_PROMPT = "The weaver threads the shuttle across the loom, and row by row the cloth appears."
DEFAULT_LENGTH = 48


class CannotVerify(Exception):
    """One side could not be run; the message says what is needed."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """In standard deviations of the reference logits."""

    name: str
    largest: float
    rms: float


F32 = Tolerance("f32 storage", 1e-4, 1e-4)
F16 = Tolerance("f16 or bf16 storage", 3e-2, 5e-3)


def tolerance_of(folder: Path) -> Tolerance:
    """By the type that most stored tensors have; only headers are read."""
    kinds: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safetensors.safe_open(file, "pt") as tensors:
                kinds.update(tensors.get_slice(name).get_dtype() for name in tensors.keys())
        except safetensors.SafetensorError as error:
            raise CannotVerify(f"{file} is not a readable safetensors file: {error}") from error
    if not kinds:
        raise CannotVerify(f"{folder} holds no *.safetensors file; this tool reads no other format")
    return F32 if kinds.most_common(1)[0][0] == "F32" else F16


def choose_ids(folder: Path, arguments: argparse.Namespace) -> list[int]:
    """--ids as given, else the prompt by the folder's tokenizer, else fixed random ids."""
    vocab_size = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).vocab_size
    if arguments.ids is not None:
        ids = arguments.ids
    elif arguments.prompt is not None or (folder / "tokenizer.json").exists():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            cure = "give --ids instead of --prompt"
            raise CannotVerify(f"{folder} has no usable tokenizer ({error}); {cure}") from error
        ids = tokenizer(DEFAULT_PROMPT if arguments.prompt is None else arguments.prompt).input_ids
    else:
        draw = random.Random(0)
        ids = [draw.randrange(vocab_size) for _ in range(DEFAULT_LENGTH)]
    if not ids:
        raise CannotVerify("the prompt has no tokens; at least one is required")
    outside = [i for i in ids if not 0 <= i < vocab_size]
    if outside:
        raise CannotVerify(f"id {outside[0]} is outside the vocabulary of {vocab_size} tokens")
    return ids


def reference_logits(folder: Path, ids: list[int], float64: bool) -> torch.Tensor:
    """transformers' logits [T,V], widened to float64."""
    if float64:
        return logits_float64(load_float64(folder), ids)
    model = load(folder, torch.float32)
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].double()


def weft_logits(command: list[str], ids: list[int], vocab_size: int) -> torch.Tensor:
    """Weft's logits [T,V]. Progress on stderr passes through to the terminal."""
    shown = shlex.join(command)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        cure = "run this in a Weft checkout, or say with --weft how Weft is started"
        raise CannotVerify(f"cannot start `{command[0]}` ({error.strerror}); {cure}") from error
    if done.returncode != 0:
        raise CannotVerify(f"`{shown}` ended with status {done.returncode}; its message is above")
    try:
        out = json.loads(done.stdout)
        positions = out["positions"]
        got = (
            out["vocabSize"],
            [p["tokenId"] for p in positions],
            [p["position"] for p in positions],
        )
        logits = torch.tensor([p["logits"] for p in positions], dtype=torch.float64)
    except (ValueError, KeyError, TypeError) as error:
        wanted = "{vocabSize, positions: [{position, tokenId, logits: [number]}]}"
        cause = f"{type(error).__name__}: {error}"
        raise CannotVerify(f"`{shown}` did not print {wanted} ({cause})") from error
    if got != (vocab_size, ids, list(range(len(ids)))) or logits.shape != (len(ids), vocab_size):
        raise CannotVerify(
            f"`{shown}` gave logits {list(logits.shape)} for ids {got[1]}, vocabSize {got[0]}; "
            f"{[len(ids), vocab_size]} for ids {ids} are required"
        )
    return logits


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Differences of [T,V] logits. `max_std` and `rms_std` are in `std`; KL is in nats."""

    std: float
    max_abs: float
    max_std: float
    max_position: int
    rms_std: float
    top1_agreement: float
    top1_decisive_misses: int
    kl_mean: float
    kl_max: float

    @classmethod
    def of(cls, reference: torch.Tensor, weft: torch.Tensor, tolerance: Tolerance) -> "Comparison":
        std = float(reference.std(correction=0))
        difference = (weft - reference).abs()
        same = weft.argmax(-1) == reference.argmax(-1)
        best, second = reference.topk(2, -1).values.unbind(-1)
        # A closer race than this may go either way within the tolerance.
        decisive = best - second > 2 * tolerance.largest * std
        p, q = reference.log_softmax(-1), weft.log_softmax(-1)
        kl = (p.exp() * (p - q)).sum(-1)
        return cls(
            std=std,
            max_abs=float(difference.max()),
            max_std=float(difference.max()) / std,
            max_position=int(difference.amax(-1).argmax()),
            rms_std=float(difference.square().mean().sqrt()) / std,
            top1_agreement=float(same.double().mean()),
            top1_decisive_misses=int((~same & decisive).sum()),
            kl_mean=float(kl.mean()),
            kl_max=float(kl.max()),
        )

    def within(self, tolerance: Tolerance) -> bool:
        """False for NaN as well: every comparison with it fails."""
        return (
            self.max_std <= tolerance.largest
            and self.rms_std <= tolerance.rms
            and self.top1_decisive_misses == 0
            and math.isfinite(self.kl_max)
        )


def print_comparison(c: Comparison, tolerance: Tolerance, ids: list[int], reference: str) -> None:
    print(f"reference         transformers {transformers.__version__}, {reference}")
    print(f"positions         {len(ids)}")
    print(f"logit std         {c.std:.6g}")
    print(f"max abs diff      {c.max_abs:.3e} (position {c.max_position})")
    print(f"max diff / std    {c.max_std:.3e}   limit {tolerance.largest:.0e}")
    print(f"RMS diff / std    {c.rms_std:.3e}   limit {tolerance.rms:.0e}")
    print(f"top-1 agreement   {c.top1_agreement:.2%}   decisive misses {c.top1_decisive_misses}")
    print(f"KL divergence     mean {c.kl_mean:.3e}, max {c.kl_max:.3e} nats")


def verify(arguments: argparse.Namespace) -> bool:
    folder: Path = arguments.folder
    if not (folder / "config.json").is_file():
        raise CannotVerify(f"{folder} is not a model folder: it has no config.json")
    tolerance = tolerance_of(folder)
    try:
        ids = choose_ids(folder, arguments)
        reference = reference_logits(folder, ids, arguments.float64)
    except (OSError, ValueError, RuntimeError) as error:
        raise CannotVerify(f"transformers cannot run {folder}: {error}") from error
    command = [
        *shlex.split(arguments.weft),
        *("logits", "--model", str(folder), "--ids", ",".join(map(str, ids))),
        *("--positions", "all", "--json", *arguments.weft_arguments),
    ]
    comparison = Comparison.of(reference, weft_logits(command, ids, reference.shape[1]), tolerance)
    print_comparison(comparison, tolerance, ids, "float64" if arguments.float64 else "float32")
    passed = comparison.within(tolerance)
    print(f"verdict           {'PASS' if passed else 'FAIL'} at the tolerance of {tolerance.name}")
    return passed


def _token_ids(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    weft_arguments = []
    if "--" in argv:
        at = argv.index("--")
        argv, weft_arguments = argv[:at], argv[at + 1 :]
    parser = argparse.ArgumentParser(
        description="Compare `weft logits` with Hugging Face transformers on a model folder.",
        epilog="Arguments after -- go to `weft logits`, for example: -- --device reference",
    )
    parser.add_argument("folder", type=Path, help="a Hugging Face folder with safetensors")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--ids", type=_token_ids, help="token ids, separated by commas")
    prompt.add_argument("--prompt", help="text, tokenised by the folder's tokenizer")
    parser.add_argument("--float64", action="store_true", help="run transformers in true float64")
    parser.add_argument("--weft", default="npx weft", help="how Weft is started (npx weft)")
    arguments = parser.parse_args(argv)
    arguments.weft_arguments = weft_arguments
    return arguments


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    transformers.utils.logging.disable_progress_bar()
    try:
        return 0 if verify(arguments) else 1
    except CannotVerify as error:
        print(f"cannot verify: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
