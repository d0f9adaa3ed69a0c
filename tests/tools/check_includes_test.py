# SPDX-License-Identifier: Apache-2.0
"""The include check must fail on trees that break the table."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import check_includes  # noqa: E402

PAGE = """# Architecture

| folder | may include |
| --- | --- |
| core | nothing of ours |
| noise, data | core |
| train | everything above |
| cli | train, core |
| tests | anything |

| another | table |
| --- | --- |
| core | anything |
"""
HEAD = "// SPDX-License-Identifier: Apache-2.0\n"


class CheckIncludesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("docs/architecture.md", PAGE)
        for name in ("core", "noise", "data", "train"):
            self.write(f"dblocks/{name}/a.h", HEAD + "#pragma once\n")
        self.write("cli/main.cpp", HEAD + '#include "dblocks/train/a.h"\n')
        self.write("tests/a_test.cpp", HEAD + '#include "dblocks/noise/a.h"\n')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_check(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            with contextlib.redirect_stderr(output):
                code = check_includes.main([str(self.root)])
        return code, output.getvalue()

    def assert_found(self, expected):
        code, output = self.run_check()
        self.assertIn(expected, output)
        self.assertIn("check_includes: 1 violations", output)
        self.assertEqual(code, 1)

    def test_a_tree_that_follows_the_table_passes(self):
        self.assertEqual(self.run_check()[0], 0, self.run_check()[1])

    def test_an_include_of_a_sibling_is_reported_with_line_and_rule(self):
        self.write("dblocks/noise/b.cpp", HEAD +
                   '#include "dblocks/noise/a.h"\n\n'
                   '#include "dblocks/data/a.h"\n')
        self.assert_found('dblocks/noise/b.cpp:4: found "dblocks/data/a.h", '
                          "allowed in noise: core")

    def test_an_include_of_a_higher_folder_is_reported(self):
        self.write("dblocks/core/b.cpp", HEAD +
                   '#  include <dblocks/train/a.h>\n')
        self.assert_found("allowed in core: nothing of ours")

    def test_everything_above_covers_the_lines_above_and_no_others(self):
        self.write("dblocks/train/b.cpp", HEAD +
                   '#include "dblocks/data/a.h"\n#include "cli/main.h"\n')
        self.assert_found('dblocks/train/b.cpp:3: found "cli/main.h"')

    def test_the_program_may_include_only_what_its_line_names(self):
        self.write("cli/b.cpp", HEAD + '#include "dblocks/noise/a.h"\n')
        self.assert_found("allowed in cli: core, train")

    def test_a_path_that_is_not_written_in_full_is_reported(self):
        self.write("dblocks/noise/b.cpp", HEAD + '#include "a.h"\n')
        self.assert_found('dblocks/noise/b.cpp:2: found "a.h"')

    def test_the_umbrella_header_is_reported_in_the_library_only(self):
        self.write("dblocks/data/b.cpp", HEAD + "#include <torch/torch.h>\n")
        self.write("tests/b_test.cpp", HEAD + "#include <torch/torch.h>\n")
        self.assert_found("dblocks/data/b.cpp:2: found the umbrella")

    def test_a_folder_without_a_line_is_reported(self):
        self.write("dblocks/extra/a.h", HEAD + "#pragma once\n")
        self.assert_found("dblocks/extra:1: found a folder without a line")

    def test_a_line_without_a_folder_is_reported(self):
        (self.root / "dblocks/data/a.h").unlink()
        (self.root / "dblocks/data").rmdir()
        self.assert_found("dblocks/data:1: the table names a folder")

    def test_a_file_beside_the_rooms_may_include_none(self):
        self.write("dblocks/pch.h", HEAD + "#pragma once\n"
                   '#include "dblocks/core/a.h"\n')
        self.assert_found("dblocks/pch.h:3: found")

    def test_a_header_without_pragma_once_is_reported(self):
        self.write("dblocks/data/b.h", HEAD)
        self.assert_found("dblocks/data/b.h:1: expected '#pragma once'")

    def test_a_file_without_licence_line_is_reported(self):
        self.write("tests/b_test.cpp", "int x;\n")
        self.assert_found("tests/b_test.cpp:1: expected the first line")

    def test_a_character_beyond_ascii_is_reported(self):
        self.write("cli/b.cpp", HEAD + "// \u03c3\n")
        self.assert_found("cli/b.cpp:2: found a character beyond ASCII")

    def test_a_page_without_table_is_an_error_of_its_own(self):
        self.write("docs/architecture.md", "# Architecture\n")
        code, output = self.run_check()
        self.assertEqual(code, 2)
        self.assertIn("expected a table", output)

    def test_a_rule_that_names_a_folder_further_down_is_refused(self):
        self.write("docs/architecture.md", PAGE.replace(
            "| noise, data | core |", "| noise, data | core, train |"))
        code, output = self.run_check()
        self.assertEqual(code, 2)
        self.assertIn("'train' has no line above", output)


if __name__ == "__main__":
    unittest.main()
