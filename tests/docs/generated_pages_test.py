# SPDX-License-Identifier: Apache-2.0
"""Help pages, man page and list of keys are what the program makes."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from documents import ROOT, run

ADVICE = "run tools/update_docs and commit what it changes under docs/"


class GeneratedPages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.made = pathlib.Path(cls.holder.name)
        result = run("write-docs", cls.made)
        assert result.returncode == 0, result.stderr

    def test_committed_pages_equal_the_programs(self):
        made = {p.relative_to(self.made)
                for p in self.made.rglob("*") if p.is_file()}
        self.assertGreater(len(made), 8)
        for page in sorted(made):
            with self.subTest(page=str(page)):
                committed = ROOT / "docs" / page
                self.assertTrue(committed.exists(), ADVICE)
                self.assertEqual(
                    committed.read_text(encoding="utf-8"),
                    (self.made / page).read_text(encoding="utf-8"), ADVICE)
        committed = {p.relative_to(ROOT / "docs")
                     for p in (ROOT / "docs" / "cli").iterdir()}
        self.assertEqual(committed - made, set(), ADVICE)

    def test_help_prints_the_committed_page(self):
        pages = sorted((ROOT / "docs" / "cli").glob("*.txt"))
        self.assertGreater(len(pages), 8)
        for page in pages:
            verb = [] if page.stem == "dblocks" else page.stem.split("_")
            with self.subTest(verb=verb):
                result = run(*verb, "--help")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout.rstrip("\n"),
                                 page.read_text(encoding="utf-8").rstrip("\n"),
                                 ADVICE)

    def test_every_verb_of_the_help_has_a_page(self):
        text = run("--help").stdout.partition("Subcommands:")[2]
        verbs = [line.split()[0] for line in text.splitlines()
                 if line.startswith("  ") and line[2] != " "]
        self.assertIn("train", verbs)
        self.assertNotIn("write-docs", verbs)
        for verb in verbs:
            self.assertTrue((ROOT / "docs/cli" / f"{verb}.txt").exists(), verb)

    def test_the_man_page_has_no_warnings(self):
        page = self.made / "man" / "dblocks.1"
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page],
                              capture_output=True, text=True, check=False)
        self.assertEqual(lint.stdout + lint.stderr, "")
        text = subprocess.run(["mandoc", "-Tutf8", "-Owidth=200", page],
                              capture_output=True, text=True,
                              check=True).stdout
        plain = re.sub(".\b", "", text)  # bold is a letter struck twice
        for word in ("--set", "--explain", "dblocks train", "EXIT STATUS"):
            self.assertIn(word, plain)

    def test_man_formats_the_page_without_complaint(self):
        if not shutil.which("man"):
            self.skipTest("man is not installed")
        result = subprocess.run(
            ["man", "--warnings", "-l", self.made / "man" / "dblocks.1"],
            capture_output=True, text=True, check=False,
            env={"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PATH":
                 "/usr/bin:/bin", "MAN_KEEP_FORMATTING": ""})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("EXIT STATUS", result.stdout)


class FirstWords(unittest.TestCase):
    def test_no_arguments_say_what_to_do_first(self):
        result = run()
        self.assertEqual(result.returncode, 2)
        self.assertIn("dblocks train recipes/debug_vit.toml", result.stderr)
        self.assertIn("verbs  train", result.stderr)
        self.assertLess(len(result.stderr.splitlines()), 12)

    def test_version_names_program_and_libtorch(self):
        result = run("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout,
                         r"^dblocks \d+\.\d+\.\d+\nLibTorch \d+\.\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
