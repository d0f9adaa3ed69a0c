# SPDX-License-Identifier: Apache-2.0
"""`dblocks bench`: what it prints, and its count against the page's formula."""

import json
import os
import stat
import unittest

from program_test import Program, run

# A quick run of `tiny`: a quarter of its batch.
N, P, D, M, V, L = 2, 4, 32, 64, 10, 2
T, E = P + 1, 32 // 6
PATCH_NUMBERS = 3 * 4 * 4


def formula():
    """docs/bench.md, "Useful operations"."""
    layer = N * T * (4 * D**2 + 2 * D * M) + 2 * N * T**2 * D + 6 * N * E * D
    last = (N * (2 * D**2 + 2 * D * M) + 2 * N * T * D**2 + 2 * N * T * D
            + 6 * N * E * D)
    twice = N * P * D * PATCH_NUMBERS + 256 * N * E
    thrice = ((L - 1) * layer + last + N * E**2 + 2 * N * E * D + N * D * V)
    return 6 * thrice + 4 * twice


class Bench(Program):
    def bench(self, *more, code=0):
        return self.expect(
            run("bench", "--quick", "--shape", "tiny", "--threads", "1",
                "--dir", self.folder, *more), code)

    def check_spread(self, spread, low, high):
        self.assertGreaterEqual(spread["runs"], 1)
        self.assertLess(low, spread["min"])
        self.assertLessEqual(spread["min"], spread["median"])
        self.assertLessEqual(spread["median"], spread["max"])
        self.assertLess(spread["max"], high)

    def test_json_holds_limits_and_steps_in_sane_ranges(self):
        kept = self.folder / "bench.json"
        printed = self.bench("--json", "--out", kept)
        report = json.loads(printed.stdout)
        self.assertEqual(json.loads(kept.read_text()), report)
        self.assertEqual(os.listdir(self.folder), ["bench.json"])
        self.assertIn("measuring", printed.stderr)
        self.assertIs(report["quick"], True)
        self.assertEqual(report["machine"]["threads"], 1)
        self.assertGreaterEqual(report["machine"]["cores"], 1)
        limits = report["limits"]
        for precision in ("fp32", "bf16"):
            peak = limits["matmul"][precision]
            self.assertIn(peak["size"], (512, 1024))
            self.check_spread(peak["flops_per_second"], 1e7, 1e14)
        self.check_spread(limits["memory"], 1e7, 1e13)
        self.assertIsNone(limits["link"])
        for way in ("write", "read"):
            self.check_spread(limits["disk"][way], 1e5, 1e12)
        self.assertEqual(
            [(s["name"], s["precision"]) for s in report["steps"]],
            [("tiny", "fp32"), ("tiny", "bf16")])
        for step in report["steps"]:
            self.check_step(step, limits)

    def check_step(self, step, limits):
        self.assertEqual((step["batch"], step["tokens"], step["width"],
                          step["mlp_width"], step["layers"]), (N, T, D, M, L))
        self.check_spread(step["seconds"], 1e-6, 60)
        median = step["seconds"]["median"]
        self.assertEqual(step["useful_flops"], formula())
        rate = step["useful_flops_per_second"]
        self.assertAlmostEqual(rate * median / formula(), 1)
        peak = limits["matmul"][step["precision"]]["flops_per_second"]
        self.assertAlmostEqual(step["share_of_matmul"] * peak["median"] / rate,
                               1)
        for part in ("forward_seconds", "optimizer_seconds"):
            self.assertLess(0, step[part])
        # Two layers with biases, norms and modulation: three numbers of four
        # bytes for each of their parameters.
        layer = (4 * (D * D + D) + 2 * D * M + D + M + 4 * D
                 + (E + 1) * 6 * D)
        self.assertEqual(step["state_bytes"], 12 * L * layer)
        self.assertGreater(step["peak_tensor_bytes"], step["state_bytes"])
        roofline = step["roofline"]
        self.assertAlmostEqual(
            roofline["matmul_seconds"] * peak["median"] / formula(), 1)
        moving = sum(step["state_bytes"] / limits["disk"][way]["median"]
                     for way in ("write", "read"))
        self.assertAlmostEqual(roofline["move_seconds"] / moving, 1)
        self.assertEqual(roofline["tier"], "disk")
        larger = max(("matmul", "memory"), key=lambda b:
                     roofline[f"{b}_seconds"])
        self.assertEqual(roofline["bound"], larger)
        self.assertIsNone(step["peer"])

    def test_the_table_says_what_bounds_each_step(self):
        text = self.bench().stdout
        for words in ("matrix product fp32", "matrix product bf16",
                      "disk, written", "tiny fp32: bound by",
                      "tiny bf16: bound by", "rough figures"):
            self.assertIn(words, text)

    def fake_python(self, body):
        path = self.folder / "it's python"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def test_peers_are_asked_for_the_same_step_and_may_fail(self):
        peer = self.fake_python(
            'case "$*" in *bench_step.py*"--width 32"*"--mlp-width 64"*'
            '"--batch 2 --precision"*"--threads 1"*) echo '
            """'{"seconds_median": 2, "seconds_min": 1, "seconds_max": 3}';; """
            "*) exit 3;; esac")
        report = json.loads(self.bench("--json", "--peers", peer).stdout)
        for step in report["steps"]:
            self.assertEqual(step["peer"]["seconds_median"], 2)
        report = json.loads(self.bench(
            "--json", "--peers", self.fake_python("exit 7")).stdout)
        for step in report["steps"]:
            self.assertIn("code 7", step["peer"]["error"])

    def test_bad_flags(self):
        for more, code, word in (
                (["--shape", "huge"], 2, "huge"),
                (["--dir", self.folder / "none"], 2, "none"),
                (["--device", "tpu"], 2, "tpu"),
                (["--threads", "-1"], 2, "threads")):
            with self.subTest(more):
                refused = self.bench(*more, code=code)
                self.assertIn(word, refused.stderr)
                self.assertEqual(refused.stdout, "")


if __name__ == "__main__":
    unittest.main()
