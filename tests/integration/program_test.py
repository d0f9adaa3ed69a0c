# SPDX-License-Identifier: Apache-2.0
"""Drives the program as a user would: runs, interruptions, bad input.

DBLOCKS_PROGRAM names the program. Runs are small: a few steps of a narrow ViT on
real Fashion-MNIST.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ.get("DBLOCKS_PROGRAM", "build/bin/dblocks")
ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = str(ROOT / "recipes" / "debug_vit.toml")
SMALL = ["--set", "train.steps=40", "--set", "checkpoint.every_steps=15",
         "--set", "optim.warmup_steps=5", "--set", "data.test_samples=200",
         "--set", "data.train_samples=2000", "--threads", "1"]


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True,
                          text=True, timeout=120)


def train(out, *more):
    return run("train", RECIPE, "--out", out, *SMALL, *more)


def weights_of(run_folder):
    """Bytes of the last checkpoint of every block."""
    found = {}
    for block in sorted((run_folder / "blocks").iterdir()):
        last = sorted((block / "checkpoints").iterdir())[-1]
        for file in sorted(last.iterdir()):
            found[f"{block.name}/{last.name}/{file.name}"] = file.read_bytes()
    return found


class Program(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def expect(self, result, code):
        self.assertEqual(result.returncode, code, result.stderr)
        return result


class LifeOfARun(Program):
    def test_train_evaluate_export_verify(self):
        one = self.folder / "one"
        self.expect(train(one), 0)
        self.assertIn("nothing left to train",
                      self.expect(train(one), 0).stdout)
        report = json.loads(self.expect(run("eval", one, "--json"), 0).stdout)
        self.assertEqual(len(report["readouts"]), 5)
        for readout in report["readouts"].values():
            self.assertTrue(0 <= readout["accuracy"] <= 1)
            self.assertEqual(len(readout["after_block"]), 3)
        self.expect(run("verify", one), 0)
        self.expect(run("inspect", one, "--json"), 0)
        files = [self.folder / "a.safetensors", self.folder / "b.safetensors"]
        for file in files:
            self.expect(run("export", one, "--out", file), 0)
        self.assertEqual(files[0].read_bytes(), files[1].read_bytes())
        header = files[0].read_bytes()
        size = int.from_bytes(header[:8], "little")
        self.assertIn("blocks.2.head.weight", json.loads(header[8:8 + size]))

    def test_blocks_trained_apart_and_merged_equal_one_run(self):
        whole, parts = self.folder / "whole", []
        self.expect(train(whole), 0)
        for block in (2, 0, 1):
            parts.append(self.folder / f"part{block}")
            self.expect(train(parts[-1], "--block", block), 0)
        merged = self.folder / "merged"
        refused = run("merge", *parts[:2], "--out", merged)
        self.expect(refused, 4)
        self.assertFalse(merged.exists())
        self.expect(run("merge", *parts, "--out", merged), 0)
        self.assertEqual(weights_of(merged), weights_of(whole))

    def test_set_takes_one_value_wherever_it_stands(self):
        shown = self.expect(run("config", "--set", "seed=3", RECIPE, "--set",
                                "train.steps=77"), 0).stdout
        self.assertRegex(shown, r"(?m)^seed = 3\b")
        self.assertRegex(shown, r"(?m)^steps = 77\b")

    def test_damage_is_found_and_named(self):
        one = self.folder / "one"
        self.expect(train(one), 0)
        file = next((one / "blocks" / "1" / "checkpoints").glob(
            "step_000000040/weights.safetensors"))
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        self.assertIn("weights.safetensors",
                      self.expect(run("verify", one), 4).stdout)


class Interruption(Program):
    def start(self, out):
        return subprocess.Popen(
            [PROGRAM, "train", RECIPE, "--out", str(out), *SMALL],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_signals_end_with_75_and_kills_lose_nothing(self):
        whole, broken = self.folder / "whole", self.folder / "broken"
        self.expect(train(whole), 0)
        chance = random.Random(1)
        signals = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1] + \
            [signal.SIGKILL] * 6
        for number in signals:
            process = self.start(broken)
            time.sleep(chance.uniform(0.5, 1.5))
            process.send_signal(number)
            code = process.wait(timeout=60)
            if number != signal.SIGKILL:
                # 0: it had finished; the handlers are set before training.
                self.assertIn(code, (75, 0, -number))
        self.expect(train(broken), 0)
        self.assertEqual(weights_of(broken), weights_of(whole))

    def test_a_second_process_is_refused_and_the_first_one_named(self):
        out = self.folder / "run"
        first = subprocess.Popen(
            [PROGRAM, "train", RECIPE, "--out", str(out), *SMALL,
             "--set", "train.steps=100000"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            second = train(out, "--set", "train.steps=100000")
            self.expect(second, 4)
            self.assertIn(str(first.pid), second.stderr)
        finally:
            first.kill()
            first.wait()


class BadInput(Program):
    CASES = [
        (["optim.learning_rat=1"], 2, "optim.learning_rate"),
        (["optim.learning_rate=abc"], 2, "optim.learning_rate"),
        (["method=foo"], 2, "end_to_end"),
        (["blocks.num_blocks=4"], 2, "blocks.layers_per_block"),
        (["model.heads=5"], 2, "model.heads"),
        (["model.patch=5"], 2, "model.patch"),
        (["data.dataset=foo"], 2, "data.dataset"),
        (["data.batch_size=100000"], 2, "batch"),
        (["train.steps=-1"], 2, "train.steps"),
    ]

    def check(self, result, code, word):
        self.expect(result, code)
        lines = result.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("dblocks: error: "), lines[0])
        self.assertIn(word, lines[0])

    def test_wrong_values_exit_2_and_name_the_key(self):
        out = self.folder / "run"
        for settings, code, word in self.CASES:
            with self.subTest(settings):
                more = [x for s in settings for x in ("--set", s)]
                self.check(run("train", RECIPE, "--out", out, *more), code,
                           word)
                self.assertFalse(out.exists(), "a refused start left a folder")

    def test_wrong_arguments(self):
        out = self.folder / "run"
        self.check(run("train", "no.toml", "--out", out), 2, "no.toml")
        self.check(run("train", RECIPE, "--out", out, "--device", "tpu"), 2,
                   "tpu")
        self.check(run("train", RECIPE, "--out", out, "--block", "7"), 2,
                   "block")
        self.check(run("train", RECIPE, "--out", out, "--bogus"), 2, "bogus")
        self.check(run("fly"), 2, "fly")
        self.assertFalse(out.exists())

    def test_missing_or_empty_runs_exit_4(self):
        self.check(run("eval", self.folder / "none"), 4, "none")
        self.check(run("eval", self.folder), 4, str(self.folder))
        self.check(run("verify", self.folder), 4, str(self.folder))
        self.check(run("inspect", self.folder / "none"), 4, "none")

    def test_a_changed_recipe_is_refused_and_the_key_named(self):
        out = self.folder / "run"
        self.expect(train(out, "--block", "0"), 0)
        self.check(train(out, "--set", "optim.learning_rate=0.5"), 2,
                   "optim.learning_rate")

    def test_damaged_data_exits_3_and_names_the_file(self):
        data = self.folder / "fashion-mnist"
        data.mkdir()
        source = pathlib.Path("/usr/share/datasets/fashion-mnist")
        for file in source.iterdir():
            (data / file.name).symlink_to(file)
        labels = data / "train-labels-idx1-ubyte.gz"
        content = labels.read_bytes()
        labels.unlink()
        labels.write_bytes(content[:5000])
        self.check(run("train", RECIPE, "--out", self.folder / "run", "--set",
                       f"data.root={self.folder}"), 3, "train-labels")
