# SPDX-License-Identifier: Apache-2.0
"""The report and the comparison of runs: made by the program, looked at in a
headless browser.

DBLOCKS_PROGRAM names the program. DBLOCKS_SCREENSHOTS names a folder to leave
pictures of the pages in.
"""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

import browser
from program_test import PROGRAM, RECIPE, run

SMALL = ["--set", "train.steps=20", "--set", "optim.warmup_steps=5",
         "--set", "data.test_samples=100", "--set", "data.train_samples=1000",
         "--set", "train.log_every_steps=1", "--threads", "1"]
HOSTILE = "</script><img src=x onerror=document.title='broken'>\"'&"


def train(out, *more):
    return run("train", RECIPE, "--out", out, *SMALL, *more)


def data_of(page):
    """The data that a page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)'
                      r"</script>", page.read_text(), re.S)
    return json.loads(found[1])


def write_long_log(file, block, rows):
    chance = random.Random(block)
    with file.open("w") as out:
        for step in range(1, rows + 1):
            out.write(json.dumps({
                "step": step, "steps": rows, "block": block,
                "loss": 2 / (1 + step / 9000) + chance.gauss(0, 0.1),
                "accuracy": min(1, 0.5 + step / rows / 2),
                "learning_rate": 1e-3, "gradient_norm": 1.0,
                "images_per_second": 900.0, "peak_tensor_bytes": 1 << 24,
                "data_wait_share": 0.01}) + "\n")


class Folder(unittest.TestCase):
    """One trained, evaluated and measured run that each test gets a copy of."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.original = pathlib.Path(cls.holder.name) / "original"
        cls.run_or_fail(["train", RECIPE, "--out", cls.original, *SMALL])
        cls.run_or_fail(["eval", cls.original, "--threads", "1"])
        cls.run_or_fail(["memory", cls.original, "--threads", "1"])

    @classmethod
    def run_or_fail(cls, arguments):
        done = run(*arguments)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.run_folder = self.folder / "run"
        shutil.copytree(self.original, self.run_folder)

    def report(self, folder=None):
        folder = folder or self.run_folder
        done = run("report", folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, f"report: {folder}/report.html\n")
        return folder / "report.html"


class Report(Folder):
    def test_holds_the_evaluation_the_memory_and_the_origins(self):
        data = data_of(self.report())
        stored = json.loads((self.run_folder / "eval.json").read_text())
        again = json.loads(self.run_or_fail(
            ["eval", self.run_folder, "--json", "--threads", "1"]))
        shown = {r["name"]: r for r in data["evaluation"]["readouts"]}
        for name, readout in again["readouts"].items():
            for key in ("accuracy", "cross_entropy", "calibration_error"):
                self.assertEqual(readout[key], stored["readouts"][name][key])
                self.assertEqual(readout[key], shown[name][key])
            pooled = shown[name]["pooled"]
            self.assertEqual(sum(b[0] for b in pooled["reliability"]), 100)
            self.assertAlmostEqual(pooled["calibration_error"], sum(
                abs(b[1] - b[2]) for b in pooled["reliability"]) / 100, 9)
        samples = data["evaluation"]["samples"]
        self.assertEqual(len(samples), 12)
        self.assertEqual(samples[0]["label"], "Ankle boot")
        for sample in samples[8:]:
            self.assertNotEqual(sample["label"], sample["answer"]["predicted"])
        origins = {row[0]: row[3] for row in data["recipe"]}
        self.assertEqual(origins["train.steps"], "--set")
        self.assertRegex(origins["data.dataset"], r"debug_vit\.toml:\d+$")
        self.assertEqual(origins["optim.beta1"], "default")
        self.assertIn("noise.preset", origins["noise.mean"])
        self.assertLess(data["memory"]["peak_bytes"],
                        data["memory"]["end_to_end_peak_bytes"])
        facts = dict(data["training_environment"])
        self.assertEqual(facts["threads"], "1")
        self.assertIn("LibTorch", facts)
        self.assertFalse(data["is_evaluation_old"])

    def test_a_run_half_trained_is_shown_as_it_stands(self):
        out = self.folder / "part"
        self.run_or_fail(["train", RECIPE, "--out", out, *SMALL, "--block",
                          "1"])
        data = data_of(self.report(out))
        self.assertEqual([b["steps_done"] for b in data["blocks"]], [0, 20, 0])
        self.assertIsNone(data["evaluation"])
        self.assertIsNone(data["memory"])

    def test_damage_is_left_out_and_told(self):
        log = self.run_folder / "blocks" / "0" / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join(lines[:5]) + "\x00rubbish\n{\n" +
                       "".join(lines[5:]) + '{"step":')
        (self.run_folder / "eval.json").write_text("{}")
        done = run("report", self.run_folder)
        self.assertEqual(done.returncode, 0)
        self.assertIn("eval.json", done.stderr)
        data = data_of(self.run_folder / "report.html")
        self.assertEqual(data["blocks"][0]["num_rows"], 20)
        self.assertEqual(data["blocks"][0]["num_damaged"], 2)
        self.assertIsNone(data["evaluation"])
        self.assertIn("eval.json", data["problems"][0])

    def test_a_baseline_has_no_partition(self):
        out = self.folder / "baseline"
        self.run_or_fail(["train", RECIPE, "--out", out, *SMALL, "--set",
                          "method=end_to_end"])
        self.run_or_fail(["eval", out, "--threads", "1"])
        data = data_of(self.report(out))
        self.assertIsNone(data["partition"])
        self.assertEqual(len(data["blocks"]), 1)
        self.assertEqual([r["name"] for r in data["evaluation"]["readouts"]],
                         ["end_to_end"])

    def test_no_run_exits_4(self):
        done = run("report", self.folder / "none")
        self.assertEqual(done.returncode, 4)
        self.assertIn("none", done.stderr)

    def test_evaluating_a_run_that_cannot_be_written_still_tells(self):
        (self.run_folder / "eval.json.tmp").mkdir()
        done = run("eval", self.run_folder, "--threads", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("test accuracy", done.stdout)
        self.assertIn("not kept", done.stderr)


class Compare(Folder):
    def setUp(self):
        super().setUp()
        self.runs = [self.run_folder]
        for seed in (1, 2):
            self.runs.append(self.folder / f"seed{seed}")
            self.run_or_fail(["train", RECIPE, "--out", self.runs[-1], *SMALL,
                              "--seed", str(seed)])
        self.run_or_fail(["eval", self.runs[1], "--threads", "1"])

    def test_groups_seeds_and_names_what_is_missing(self):
        found = json.loads(self.run_or_fail(
            ["compare", *self.runs, "--json"]))
        self.assertEqual(len(found["groups"]), 1)
        group = found["groups"][0]
        values = [r["accuracy"] for r in found["runs"]]
        self.assertIsNone(values[2])
        self.assertEqual(group["accuracy"]["count"], 2)
        self.assertAlmostEqual(group["accuracy"]["mean"],
                               (values[0] + values[1]) / 2, 12)
        self.assertAlmostEqual(group["accuracy"]["deviation"],
                               abs(values[0] - values[1]) / 2 ** 0.5, 12)
        self.assertEqual([r["seed"] for r in found["runs"]], [0, 1, 2])
        self.assertEqual(found["runs"][0]["steps"], 60)
        page = self.folder / "page.html"
        table = self.run_or_fail(["compare", *self.runs, "--out", page])
        self.assertIn(f"dblocks eval {self.runs[2]}", table)
        self.assertIn("mean of 3", table)
        lines = table.splitlines()
        self.assertEqual(len({len(line) for line in lines[:5]}), 1, table)
        self.assertEqual(len(data_of(page)["runs"]), 3)

    def test_other_recipes_form_other_groups(self):
        other = self.folder / "other"
        self.run_or_fail(["train", RECIPE, "--out", other, *SMALL, "--set",
                          "method=end_to_end"])
        found = json.loads(self.run_or_fail(
            ["compare", self.run_folder, other, "--json"]))
        self.assertEqual([g["runs"] for g in found["groups"]], [[0], [1]])
        self.assertEqual(run("compare", self.folder / "none").returncode, 4)


@unittest.skipIf(browser.missing(), browser.missing())
class InABrowser(Folder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()
        cls.browser.__enter__()
        cls.addClassCleanup(cls.browser.__exit__)

    def check_page(self, page, name):
        """What must hold at each width and in each scheme."""
        backgrounds = set()
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                with self.subTest(page=name, width=width, scheme=scheme):
                    self.browser.resize(width)
                    self.browser.prefer(scheme)
                    # What the driver says late of the page before.
                    self.browser.console(), self.browser.requests()
                    self.browser.open(page)
                    self.assertEqual(self.browser.console(), [])
                    asked = [address for address in self.browser.requests()
                             if not address.startswith("data:")]
                    self.assertEqual(asked, [page.resolve().as_uri()])
                    inner, outer = self.browser.run(
                        "return [document.documentElement.scrollWidth,"
                        " document.documentElement.clientWidth]")
                    self.assertLessEqual(inner, outer)
                    backgrounds.add(self.browser.run(
                        "return getComputedStyle(document.body)"
                        ".backgroundColor"))
                    self.assertNotIn("[object", self.text())
                    self.leave_picture(f"{name}_{width}_{scheme}")
        self.assertEqual(len(backgrounds), 2, "dark looks like light")

    def text(self):
        return self.browser.run("return document.body.innerText")

    def number_of(self, selector):
        return self.browser.run(
            f"return document.querySelectorAll({json.dumps(selector)}).length")

    def leave_picture(self, name):
        folder = os.environ.get("DBLOCKS_SCREENSHOTS")
        if folder:
            self.browser.screenshot(pathlib.Path(folder) / (name + ".png"))

    def test_every_section_is_drawn_at_two_widths_in_light_and_dark(self):
        self.check_page(self.report(), "report")
        for selector, number in {
                "#partition path.interval": 3, "#partition path.overlap": 3,
                "#training path.curve": 6, "#accuracy path.chain": 5,
                "#memory rect.bar-value": 4, ".sample img": 12}.items():
            self.assertEqual(self.number_of(selector), number, selector)
        self.assertGreater(self.number_of("#calibration rect.bin"), 0)
        self.assertEqual(self.browser.run(
            "return [...document.images].filter(i => !i.naturalWidth).length"),
            0)
        stored = json.loads((self.run_folder / "eval.json").read_text())
        accuracy = stored["readouts"]["renoised_chain"]["accuracy"]
        self.assertIn(f"{100 * accuracy:.2f}\u00a0%", self.text())
        dangling = self.browser.run(
            "return [...document.querySelectorAll('a[href^=\"#\"]')]"
            ".filter(a => !document.querySelector(a.getAttribute('href')))"
            ".length")
        self.assertEqual(dangling, 0, "a link leads nowhere")

    def test_what_is_missing_is_told_with_its_command(self):
        for name in ("eval.json", "memory.json", "environment.json"):
            (self.run_folder / name).unlink()
        shutil.rmtree(self.run_folder / "blocks" / "2")
        self.check_page(self.report(), "partial")
        for command in ("eval", "memory", "report"):
            self.assertIn(f"dblocks {command} {self.run_folder}", self.text())
        self.assertIn("40 of 60 steps", self.text())

    def test_hostile_text_stays_text(self):
        recipe = self.run_folder / "resolved.toml"
        recipe.write_text(recipe.read_text().replace(
            'name = "debug_vit"', "name = " + json.dumps(HOSTILE)))
        file = self.run_folder / "eval.json"
        stored = json.loads(file.read_text())
        stored["dataset"] = HOSTILE
        for sample in stored["samples"]:
            sample["label"] = sample["answer"]["predicted"] = HOSTILE
        stored["environment"] = {HOSTILE: HOSTILE}
        file.write_text(json.dumps(stored))
        self.check_page(self.report(), "hostile")
        self.assertNotEqual(self.browser.run("return document.title"),
                            "broken")
        self.assertEqual(self.browser.run(
            "return document.querySelector('h1').textContent"), HOSTILE)

    def test_100000_logged_steps_take_two_seconds_and_two_megabytes(self):
        for block in range(3):
            write_long_log(self.run_folder / "blocks" / str(block) /
                           "log.jsonl", block, 100_000)
        page = self.report()
        self.assertLess(page.stat().st_size, 2_000_000)
        self.browser.resize(1280)
        self.browser.prefer("light")
        self.browser.open(page)  # the first page pays for starting
        seconds = min(self.browser.open(page) for _ in range(3))
        print(f"\n300,000 log entries: {page.stat().st_size / 1e6:.2f} MB, "
              f"drawn in {seconds:.2f} s")
        self.assertLess(seconds, 2)
        self.assertEqual(self.number_of("#training path.curve"), 6)
        self.leave_picture("long")

    def test_the_comparison_is_drawn_too(self):
        other = self.folder / "other"
        self.run_or_fail(["train", RECIPE, "--out", other, *SMALL, "--seed",
                          "1"])
        page = self.folder / "compare.html"
        self.run_or_fail(["compare", self.run_folder, other, "--out", page])
        self.check_page(page, "compare")
        self.assertEqual(self.number_of("circle.run"), 1 + 1 + 2)
        self.assertIn(f"dblocks eval {other}", self.text())


if __name__ == "__main__":
    subprocess.run([PROGRAM, "--version"], check=True)
    unittest.main()
