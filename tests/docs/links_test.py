# SPDX-License-Identifier: Apache-2.0
"""Relative links and anchors of all pages lead to something."""

import re
import unittest

from documents import ROOT, markdown_files, without_fences

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)", re.DOTALL)


def anchors(page):
    """The anchors that a page's headings have, as GitHub makes them."""
    found, counts = set(), {}
    text = without_fences(page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
        number = counts.get(slug, 0)
        counts[slug] = number + 1
        found.add(slug if number == 0 else f"{slug}-{number}")
    return found


def dead_links(page):
    text = without_fences(page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`]*`", "", text)
    dead = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            dead.append(target)
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            dead.append(target)
    return dead


class Links(unittest.TestCase):
    def test_no_link_is_dead(self):
        pages = markdown_files()
        self.assertGreater(len(pages), 5)
        for page in pages:
            with self.subTest(page=str(page.relative_to(ROOT))):
                self.assertEqual(dead_links(page), [])

    def test_every_page_is_in_the_index(self):
        index = ROOT / "docs" / "README.md"
        text = index.read_text(encoding="utf-8")
        linked = {(index.parent / t.partition("#")[0]).resolve()
                  for t in LINK.findall(text)}
        for page in (ROOT / "docs").rglob("*.md"):
            if page != index:
                self.assertIn(page.resolve(), linked, "not in docs/README.md")


if __name__ == "__main__":
    unittest.main()
