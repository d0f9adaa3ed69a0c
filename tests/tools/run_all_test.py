# SPDX-License-Identifier: Apache-2.0
"""benchmarks/run_all, in its quick form, with the programs of $DBLOCKS_BUILD."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("DBLOCKS_BUILD", REPOSITORY / "build")


class RunAll(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.page = self.folder / "page.md"

    def run_all(self, *flags, build=BUILD):
        return subprocess.run(
            [REPOSITORY / "benchmarks" / "run_all", "--quick", "--folder",
             self.folder, "--build", build, "--out", self.page, *flags],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_writes_a_page_with_a_table_for_every_part(self):
        result = self.run_all()
        self.assertEqual(result.returncode, 0, result.stderr)
        text = self.page.read_text()
        sections = text.split("\n## ")[1:]
        self.assertEqual(len(sections), 7)  # six parts and the commands
        for section in sections[:-1]:
            self.assertIn("| --- |", section)
        self.assertRegex(text, r"vit, width 128, batch 2, fp32 \| [0-9.]+ \(")
        self.assertIn("eager PyTorch", text)
        self.assertIn("matrix product, fp32", text)
        self.assertIn("build/bin/benchmark_paging", sections[-1])
        raw = json.loads(self.page.with_suffix(".json").read_text())
        self.assertGreater(raw["steps"][0]["peak_tensor_bytes"], 0)

    def test_a_part_that_fails_is_named_and_the_others_are_measured(self):
        build = self.folder / "build"
        (build / "bin").mkdir(parents=True)
        for program in (pathlib.Path(BUILD) / "bin").glob("*"):
            if program.name != "benchmark_ops":
                (build / "bin" / program.name).symlink_to(program)
        broken = build / "bin" / "benchmark_ops"
        broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
        broken.chmod(0o755)
        result = self.run_all("--only", "operations,paging", build=build)
        self.assertEqual(result.returncode, 1)
        failed = self.page.read_text().split("## Failed")[1]
        self.assertIn("ended with 3: no such luck", failed)
        self.assertIn("rate of a swap", self.page.read_text())

    def test_without_the_programs_it_says_how_to_build_them(self):
        result = self.run_all(build=self.folder)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("-DDBLOCKS_BUILD_BENCHMARKS=ON", result.stderr)
        self.assertFalse(self.page.exists())


if __name__ == "__main__":
    unittest.main()
