# SPDX-License-Identifier: Apache-2.0
"""tools/tidy checks what it says and hides no finding.

clang-tidy and cmake are stand-ins: a file has findings where its name says so.
"""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from script_case import ScriptCase  # noqa: E402

TIDY = """
[[ $1 == --version ]] && { echo "LLVM version 14.0.6"; exit; }
for file in "$@"; do :; done
[[ $file != *bad* ]] || { echo "$file:1:1: error: a finding"; exit 1; }
"""
CMAKE = """
mkdir -p build-tidy
for file in $(find dblocks -name "*.cpp"); do
  [[ $file == *fuzz* ]] || printf '"file": "%s"\\n' "$PWD/$file"
done >build-tidy/compile_commands.json
"""


class TidyTest(ScriptCase):
    def setUp(self):
        super().setUp()
        self.copy("tools/tidy")
        self.fake("cmake", CMAKE)
        self.fake("clang-tidy-14", TIDY)
        (self.root / "dblocks").mkdir()
        for folder in ("cli", "tests", "benchmarks"):
            (self.root / folder).mkdir()

    def write(self, *names):
        for name in names:
            (self.root / "dblocks" / name).write_text("int x;\n")

    def checked(self):
        return sorted(call.split("dblocks/")[-1]
                      for call in self.calls("clang-tidy-14")
                      if "--version" not in call)

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b",
                        *arguments], cwd=self.root, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_files_with_findings_are_counted(self):
        self.write("good.cpp", "bad.cpp", "worse_bad.cpp", "fuzz.cpp")
        for jobs in ("1", "3"):
            result = self.run_script("tools/tidy", "--all", "--jobs", jobs)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("dblocks/bad.cpp:1:1: error: a finding",
                          result.stdout)
            self.assertEqual(result.stdout.splitlines()[-1],
                             "tidy: 3 files, 2 with findings")
        result = self.run_script("tools/tidy", "dblocks/good.cpp")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_without_a_file_it_takes_what_the_last_commit_changed(self):
        self.write("old.cpp")
        self.git("init", "-q")
        self.git("add", "dblocks")
        self.git("commit", "-q", "-m", "one")
        self.write("bad.cpp", "new.cpp")
        self.git("add", "dblocks")
        self.git("commit", "-q", "-m", "two")
        result = self.run_script("tools/tidy")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.checked(), ["bad.cpp", "new.cpp"])
        result = self.run_script("tools/tidy", "--most", "1")
        self.assertIn("1 of 2 files are left out", result.stdout)

    def test_it_is_skipped_without_the_right_version(self):
        self.write("good.cpp")
        self.fake("clang-tidy-14", "echo 'LLVM version 15.0.1'")
        result = self.run_script("tools/tidy", "--all")
        self.assertEqual(result.returncode, 77)
        self.assertIn("expected clang-tidy 14, found 15", result.stdout)

    def test_a_wrong_flag_is_refused(self):
        for flags in (("--everything",), ("--jobs", "none"), ("--most",)):
            self.assertEqual(self.run_script("tools/tidy", *flags).returncode,
                             2, flags)


if __name__ == "__main__":
    unittest.main()
