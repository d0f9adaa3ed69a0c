# SPDX-License-Identifier: Apache-2.0
"""run_tests adds up the counts and never hides a failure.

cmake, ctest and the setup are stand-ins: nothing is built.
"""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from script_case import ScriptCase  # noqa: E402

# Writes a report with the counts named in the environment of the stand-in.
CTEST = """
while (($#)); do
  [[ $1 == --test-dir ]] && folder=$2
  [[ $1 == --output-junit ]] && report=$2
  shift
done
counts=$(cat "$folder/counts")
set -- $counts
[[ $1 == none ]] && exit 8
{
  printf '<?xml version="1.0"?>\\n<testsuite name="a"\\n\\ttests="%d"\\n' "$1"
  printf '\\tfailures="%d"\\n\\tdisabled="0"\\n\\tskipped="%d">\\n' "$2" "$3"
  printf '\\t<testcase name="tests=&quot;9&quot;"/>\\n</testsuite>\\n'
} >"$report"
exit $(($2 > 0 ? 8 : 0))
"""


class RunTestsTest(ScriptCase):
    def setUp(self):
        super().setUp()
        self.copy("run_tests")
        self.copy("tools/build_jobs")
        self.fake("setup.sh", folder=self.root / "tools")
        self.fake("cmake")
        self.fake("ctest", CTEST)
        self.set_counts("build", "10 0 0")
        self.set_counts("build-asan", "4 0 0")

    def set_counts(self, folder, counts):
        """counts: tests, failures, skipped; or "none" for no report."""
        (self.root / folder).mkdir(exist_ok=True)
        (self.root / folder / "counts").write_text(counts)

    def assert_ends(self, result, code, line):
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)
        self.assertEqual(result.stdout.splitlines()[-1], line)

    def test_counts_of_both_builds_are_added(self):
        self.assert_ends(self.run_script("run_tests", "--sanitize"), 0,
                         "run_tests: 14 passed, 0 failed, 0 skipped")

    def test_the_sanitizers_run_only_when_asked_for(self):
        self.assert_ends(self.run_script("run_tests"), 0,
                         "run_tests: 10 passed, 0 failed, 0 skipped")
        self.assertFalse(any("asan" in call for call in self.calls("cmake")))

    def test_a_failure_in_the_first_build_fails_after_the_second_has_run(self):
        self.set_counts("build", "10 2 1")
        self.assert_ends(self.run_script("run_tests", "--sanitize"), 1,
                         "run_tests: 11 passed, 2 failed, 1 skipped")

    def test_a_failure_in_the_second_build_fails(self):
        self.set_counts("build-asan", "4 1 0")
        self.assert_ends(self.run_script("run_tests", "--sanitize"), 1,
                         "run_tests: 13 passed, 1 failed, 0 skipped")

    def test_a_run_without_report_counts_as_a_failure(self):
        self.set_counts("build-asan", "none")
        self.assert_ends(self.run_script("run_tests", "--sanitize"), 1,
                         "run_tests: 10 passed, 1 failed, 0 skipped")

    def test_a_build_that_fails_ends_the_script(self):
        self.fake("cmake", "[[ $1 != --build ]]")
        self.assertNotEqual(self.run_script("run_tests", "--sanitize").returncode, 0)
        self.assertEqual(self.calls("ctest"), [])

    def test_the_compilers_use_every_core_though_the_tests_use_one_thread(self):
        self.run_script("run_tests")
        jobs = subprocess.run(
            ["env", "-u", "OMP_NUM_THREADS", str(self.root / "tools/build_jobs")],
            capture_output=True, text=True, check=True).stdout.strip()
        self.assertIn(f"cmake --build build --parallel {jobs}",
                      self.calls("cmake"))

    def test_warnings_become_errors_in_both_builds(self):
        self.run_script("run_tests", "--sanitize", "--werror")
        configured = [call for call in self.calls("cmake")
                      if "--preset" in call]
        self.assertEqual(len(configured), 2)
        for call in configured:
            self.assertIn("-DDBLOCKS_WERROR=ON", call)


if __name__ == "__main__":
    unittest.main()
