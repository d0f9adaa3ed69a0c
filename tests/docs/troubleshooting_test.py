# SPDX-License-Identifier: Apache-2.0
"""Every message in docs/troubleshooting.md is one that the sources hold.

A heading quotes a message in backticks; N, PATH and the like, in capitals,
stand for what differs. Each piece between them must occur in one source file.
"""

import re
import unittest

from documents import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
VARIABLE = re.compile(r"\b[A-Z]{1,}\b(?![-a-z])")
KEPT = {"TOML", "JSON", "CUDA", "LibTorch", "NaN", "JPEG", "UTF"}


def headings():
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^### `(.+)`$", text, re.MULTILINE)


def pieces(message):
    """The parts of a message that never differ."""
    parts, last = [], 0
    for found in VARIABLE.finditer(message):
        if found.group() not in KEPT:
            parts.append(message[last:found.start()])
            last = found.end()
    parts.append(message[last:])
    return [p.strip() for p in parts if p.strip(" :,.()'\"")]


def source_strings():
    """The text of each source with adjacent string literals joined."""
    for folder in ("dblocks", "cli"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".cpp", ".h"):
                text = file.read_text(encoding="utf-8")
                text = re.sub(r'"\s*\n\s*"', "", text)
                yield re.sub(r"\\(.)", r"\1", text)


class Troubleshooting(unittest.TestCase):
    def test_every_message_is_in_the_sources(self):
        sources = list(source_strings())
        self.assertGreaterEqual(len(headings()), 10)
        for heading in headings():
            with self.subTest(message=heading):
                wanted = pieces(heading)
                self.assertTrue(wanted)
                self.assertTrue(
                    any(all(p in s for p in wanted) for s in sources),
                    f"no source holds all of {wanted}")

    def test_a_made_up_message_is_not(self):
        sources = list(source_strings())
        self.assertFalse(
            any("[config] expected a blue moon" in s for s in sources))


if __name__ == "__main__":
    unittest.main()
