# SPDX-License-Identifier: Apache-2.0
"""Exported plain ViTs, read by examples/timm_export, against `dblocks eval`.

DBLOCKS_PROGRAM names the program; needs PyTorch and the Fashion-MNIST package.
"""

import importlib.util
import json
import subprocess
import sys
import unittest

from program_test import ROOT, Program, run, train

READER = ROOT / "examples" / "timm_export" / "read_export.py"
DATA = "/usr/share/datasets/fashion-mnist/t10k-"
WITH_TIMM = importlib.util.find_spec("timm") is not None


class TimmExport(Program):
    def check(self, method):
        out, file = self.folder / method, self.folder / f"{method}.safetensors"
        self.expect(train(out, "--set", f"method={json.dumps(method)}"), 0)
        report = json.loads(self.expect(
            run("eval", out, "--json", "--threads", "1"), 0).stdout)
        ours = report["readouts"][report["headline"]]["after_block"][-1]
        self.expect(run("export", out, "--out", file), 0)
        for more in ([], ["--plain"]) if WITH_TIMM else (["--plain"],):
            read = self.read(file, *more)
            self.assertEqual(
                read["network"],
                "PlainViT" if more else "VisionTransformer")
            self.assertEqual(read["accuracy"], ours["accuracy"])
            self.assertAlmostEqual(
                read["cross_entropy"] / ours["cross_entropy"], 1, delta=1e-5)

    def read(self, file, *more):
        result = subprocess.run(
            [sys.executable, str(READER), str(file), "--count", "200",
             "--images", DATA + "images-idx3-ubyte.gz",
             "--labels", DATA + "labels-idx1-ubyte.gz", *more],
            capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_end_to_end_and_greedy_networks_give_what_the_program_measures(self):
        for method in ("end_to_end", "greedy"):
            with self.subTest(method):
                self.check(method)

    def test_a_denoising_run_is_refused(self):
        out, file = self.folder / "run", self.folder / "run.safetensors"
        self.expect(train(out, "--set", "train.steps=2", "--set",
                          "optim.warmup_steps=1"), 0)
        self.expect(run("export", out, "--out", file), 0)
        with self.assertRaisesRegex(AssertionError, "no plain ViT"):
            self.read(file)


if __name__ == "__main__":
    unittest.main()
