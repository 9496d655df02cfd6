"""Tests of verify_model.py's verdict, with stand-ins for the Weft command.

Each stand-in prints the committed golden logits of the llama fixture, exact or spoilt in one way.
Run it with `python tools/test_verify_model.py`; needs the packages of requirements.txt, no GPU.
"""

import contextlib
import io
import json
import shlex
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from safetensors.torch import load_file, save_file

from verify_model import main

GOLDENS = Path(__file__).resolve().parents[1] / "test" / "fixtures" / "goldens"

# A whole `weft logits`: checks its arguments, reads the golden file, applies SPOIL, prints JSON.
STAND_IN = """
import array, json, sys
command, _, folder, _, ids, *rest = sys.argv[1:]
assert command == "logits" and rest[:3] == ["--positions", "all", "--json"], sys.argv
ids = [int(i) for i in ids.split(",")]
index = json.load(open(GOLDENS + "/index.json"))
entry = next(e for e in index["fixtures"] if folder.endswith(e["folder"]))
flat = array.array("f", open(GOLDENS + "/" + entry["logitsFile"], "rb").read())
before = sum(len(p) for p in entry["prompts"][:entry["prompts"].index(ids)])
V = entry["vocabSize"]
rows = [flat[(before + t) * V:(before + t + 1) * V].tolist() for t in range(len(ids))]
std = entry["logitStd"]
out = {"vocabSize": V, "positions": [
    {"position": t, "tokenId": i, "logits": row} for t, (i, row) in enumerate(zip(ids, rows))]}
SPOIL
print(json.dumps(out))
"""


class Verdict(unittest.TestCase):
    def run_tool(self, dtype: str, spoil: str, *extra: str) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        index = json.loads((GOLDENS / "index.json").read_text())
        folder = f"llama/{dtype}"
        entry = next(e for e in index["fixtures"] if e["folder"] == folder)
        script = STAND_IN.replace("GOLDENS", repr(str(GOLDENS))).replace("SPOIL", spoil)
        weft = shlex.join([sys.executable, "-c", script])
        ids = ",".join(map(str, entry["prompts"][2]))
        return self.call(str(GOLDENS / folder), "--ids", ids, "--weft", weft, *extra)

    def call(self, *argv: str) -> tuple[int, str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = main(list(argv))
        return status, printed.getvalue()

    def test_right_logits_pass(self):
        for dtype in ("f32", "f16", "bf16"):
            status, text = self.run_tool(dtype, "")
            self.assertEqual(status, 0, text)
            self.assertIn("PASS", text)
            self.assertIn("top-1 agreement   100.00%", text)

    def test_float64_reference_is_closer_than_the_stored_rounding(self):
        status, text = self.run_tool("f32", "", "--float64")
        self.assertEqual(status, 0, text)
        largest = float(text.split("max diff / std")[1].split()[0])
        self.assertLess(largest, 1e-6)

    def test_one_logit_off_by_two_tolerances_fails(self):
        off = "out['positions'][50]['logits'][7] += {} * std"
        for dtype, amount in (("f32", 2e-4), ("f16", 6e-2), ("bf16", 6e-2)):
            status, text = self.run_tool(dtype, off.format(amount))
            self.assertEqual(status, 1, text)
            self.assertIn("FAIL", text)
            self.assertIn("(position 50)", text)

    def test_f16_rms_fails_alone(self):
        spoil = "for p in out['positions']: p['logits'] = [x + 1e-2 * std for x in p['logits']]"
        status, text = self.run_tool("f16", spoil)
        self.assertEqual(status, 1, text)
        self.assertIn("FAIL", text)

    def test_arguments_after_two_dashes_reach_weft(self):
        spoil = "assert rest[3:] == ['--device', 'reference'], rest"
        self.assertEqual(self.run_tool("f32", spoil, "--", "--device", "reference")[0], 0)

    def test_nan_fails(self):
        status, text = self.run_tool("f32", "out['positions'][3]['logits'][0] = float('nan')")
        self.assertEqual(status, 1, text)
        self.assertIn("FAIL", text)

    def test_malformed_answers_are_named(self):
        for spoil, message in (
            ("out['positions'].pop()", "are required"),
            ("out['positions'][0]['tokenId'] = 3", "are required"),
            ("out['vocabSize'] += 1", "are required"),
            ("del out['positions']", "did not print"),
            ("out['positions'][0]['logits'][0] = None", "did not print"),
            ("print('loading')", "did not print"),
            ("sys.exit(2)", "ended with status 2"),
        ):
            status, text = self.run_tool("f32", spoil)
            self.assertEqual(status, 1, text)
            self.assertIn("cannot verify", text)
            self.assertIn(message, text)

    def test_what_cannot_run_is_named(self):
        llama = str(GOLDENS / "llama" / "f32")
        with tempfile.TemporaryDirectory() as empty:
            only_config = Path(empty) / "config-only"
            only_config.mkdir()
            (only_config / "config.json").write_text("{}")
            partial = Path(empty) / "partial"
            shutil.copytree(llama, partial)
            tensors = load_file(partial / "model.safetensors")
            del tensors["model.norm.weight"]
            save_file(tensors, partial / "model.safetensors", {"format": "pt"})
            torn = Path(empty) / "torn"
            shutil.copytree(llama, torn)
            (torn / "model.safetensors").write_bytes(b"\xff" * 100)
            for argv, message in (
                ([str(partial)], "model.norm.weight"),
                ([str(torn)], "not a readable safetensors file"),
                ([empty], "it has no config.json"),
                ([str(only_config)], "no *.safetensors"),
                ([llama, "--weft", "no-such-program"], "cannot start `no-such-program`"),
                ([llama, "--ids", "1,131"], "outside the vocabulary of 131"),
                ([llama, "--prompt", "hello"], "no usable tokenizer"),
            ):
                status, text = self.call(*argv)
                self.assertEqual(status, 1, text)
                self.assertIn(message, text)


if __name__ == "__main__":
    unittest.main()
