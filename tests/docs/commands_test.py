# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of README.md and docs/, scaled down.

A fence tagged `sh` holds commands to run, page by page in one empty folder; a
fence without a tag right after it holds the end of their output, in which
numbers may differ and `...` stands for anything. Commands that install and
build are not run: their scripts are checked to exist and to explain themselves.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from documents import PROGRAM, ROOT, fences

# The only differences between what a page says and what is run.
SUBSTITUTIONS = [
    (r"recipes/fashion_mnist_vit\.toml", "recipes/debug_vit.toml"),
    (r"\bbuild/bin/dblocks\b", "dblocks"),
    (r"\bdblocks (train|config|memory) (\S+\.toml)",
     r"dblocks \1 \2 --set data.train_samples=1000 --set data.test_samples=200"
     r" --set train.steps=6 --set optim.warmup_steps=2 --threads 1"),
    (r"\bdblocks eval (runs/dit)\b",
     r"dblocks eval \1 --set evaluation.samples=32 --set sampling.steps=6"),
    (r"--steps 50\b", "--steps 6"),
]
NOT_RUN = ("./quickstart", "./run_tests", "tools/", "cmake", "ctest",
           "sudo", "apt-get", "dblocks data fetch", "git clone", "tensorboard")
PAGES = ["README.md", *sorted(
    str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")
    if p.name not in ("results.md",))]


def split(content):
    """The script to run, and the first words of the commands that are not."""
    kept, left_out = [], []
    for line in content.splitlines():
        if line.startswith(NOT_RUN):
            left_out.append(line.split()[0])
        else:
            kept.append(line)
    return "\n".join(kept).strip(), left_out


def scaled_down(command):
    for pattern, replacement in SUBSTITUTIONS:
        command = re.sub(pattern, replacement, command)
    return command


def shape(promise):
    """A pattern for a promised line: numbers and `...` may differ."""
    parts = re.split(r"(\.\.\.|[\d,]*\d(?:\.\d+)?)", promise.strip())
    return "".join(
        ".*" if p == "..." else r"[-\d.,]+" if p[:1].isdigit() else
        r"\s+".join(re.escape(w) for w in re.split(r"\s+", p))
        for p in parts) + "$"


class Commands(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "recipes").symlink_to(ROOT / "recipes")
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "dblocks").symlink_to(PROGRAM)

    def run_shell(self, command):
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-euc", command], cwd=self.folder,
                              env=dict(os.environ, PATH=path), text=True,
                              capture_output=True, timeout=600, check=False)

    def check_page(self, page):
        output, ran = "", 0
        text = (ROOT / page).read_text(encoding="utf-8")
        for language, content, line in fences(text):
            if language == "sh":
                script, left_out = split(content)
                for command in left_out:
                    self.check_not_run(command)
                result = self.run_shell(scaled_down(script))
                self.assertEqual(result.returncode, 0,
                                 f"{page}:{line}:\n{result.stderr}")
                output = result.stdout
                ran += script.count("dblocks ")
            elif language == "" and output:
                self.check_promise(page, line, content, output)
                output = ""
        return ran

    def check_promise(self, page, line, content, output):
        found = output.strip().splitlines()
        promised = content.strip().splitlines()
        self.assertLessEqual(len(promised), len(found), f"{page}:{line}")
        for want, got in zip(promised, found[-len(promised):]):
            self.assertRegex(got, "^" + shape(want), f"{page}:{line}")

    def check_not_run(self, script):
        if "/" in script:
            file = ROOT / script
            self.assertTrue(os.access(file, os.X_OK), script)
            result = subprocess.run([str(file), "--help"], text=True,
                                    capture_output=True, timeout=60,
                                    check=False)
            if script != "tools/update_docs":
                self.assertEqual(result.returncode, 0, script)
                self.assertIn("usage", result.stdout)

    def test_commands_of_the_readme_work(self):
        self.assertGreaterEqual(self.check_page("README.md"), 4)

    def test_the_readmes_last_lines_are_those_of_the_quickstart(self):
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        promised = next(c for _, c, _ in fences(text)
                        if c.startswith("test accuracy"))
        run = "dblocks train recipes/fashion_mnist_vit.toml --out run"
        memory = "dblocks memory recipes/fashion_mnist_vit.toml"
        output = ""
        for command in (run, "dblocks eval run --threads 1", memory):
            result = self.run_shell(scaled_down(command))
            self.assertEqual(result.returncode, 0, result.stderr)
            output = output.strip().split("\n")[-1] + "\n" + result.stdout
        evaluated, *_, measured = output.strip().splitlines()
        for want, got in zip(promised.splitlines(), (evaluated, measured)):
            self.assertRegex(got, "^" + shape(want))

    def test_commands_of_the_other_pages_work(self):
        ran = {}
        for page in PAGES[1:]:
            with self.subTest(page=page):
                self.setUp()
                ran[page] = self.check_page(page)
        self.assertGreaterEqual(ran["docs/getting_started.md"], 5)

    def test_the_scripts_of_the_readme_explain_themselves(self):
        for script in ("./quickstart", "./run_tests"):
            self.check_not_run(script)


if __name__ == "__main__":
    unittest.main()
