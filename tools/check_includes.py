#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds #include lines against the table in docs/architecture.md.

Usage: check_includes.py [ROOT]

The table "folder | may include" is the only source of the rules, so the page
and the check cannot drift apart. Besides the includes it reports folders that
are missing on either side, the umbrella header torch/torch.h, headers without
#pragma once, files without the licence line, and characters beyond ASCII.

Prints `file:line: found, allowed` for each violation. Exit codes: 0 none found,
1 some found, 2 no table that can be read.
"""

import re
import sys
from pathlib import Path

LICENCE = "// SPDX-License-Identifier: Apache-2.0"
# Folders of the root that the table may name; every other name is a folder of
# dblocks/. Where anything may be included, the umbrella header may be too.
ROOT_FOLDERS = ("cli", "tests", "benchmarks", "examples")
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


class TableError(Exception):
    """The page holds no table of the expected form."""


def read_table(page):
    """Returns {folder: set of folders it may include}; None means anything."""
    rows = _table_rows(page.read_text(encoding="utf-8").splitlines())
    table = {}
    for names, allowed in rows:
        above = set(table)
        for name in names:
            if name in table:
                raise TableError(f"{page}: {name} has two lines")
            table[name] = _allowed(allowed, above, page)
    if not table:
        raise TableError(f"{page}: expected a table 'folder | may include'")
    return table


def _table_rows(lines):
    rows = []
    inside = False
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells == ["folder", "may include"]:
            inside = True
        elif inside and not line.strip().startswith("|"):
            break
        elif inside and not re.fullmatch(r"[-| ]+", line.strip()):
            rows.append((_words(cells[0]), cells[1]))
    return rows


def _words(cell):
    return [word.strip() for word in cell.split(",")]


def _allowed(cell, above, page):
    if cell == "anything":
        return None
    if cell == "nothing of ours":
        return set()
    if cell == "everything above":
        return above
    unknown = [name for name in _words(cell) if name not in above]
    if unknown:
        raise TableError(f"{page}: '{unknown[0]}' has no line above '{cell}'")
    return set(_words(cell))


def place_of(name):
    """The folder, relative to the root, of a name in the table."""
    return name if name in ROOT_FOLDERS else f"dblocks/{name}"


def included_folder(path):
    """The table's name of the folder that an include path reaches into."""
    parts = path.split("/")
    if parts[0] == "dblocks":
        return parts[1] if len(parts) > 2 else ""
    return parts[0] if parts[0] in ROOT_FOLDERS else None


def check_folders(root, table):
    """Folders without a line in the table, and lines without a folder."""
    places = {place_of(name) for name in table}
    for folder in sorted(root.glob("dblocks/*/")):
        place = folder.relative_to(root).as_posix()
        if place not in places and _sources(folder):
            yield f"{place}:1: found a folder without a line in the table"
    for place in sorted(places):
        if not (root / place).is_dir():
            yield f"{place}:1: the table names a folder that does not exist"


def _sources(folder):
    found = (p for p in folder.rglob("*") if p.suffix in (".h", ".cpp"))
    return sorted(found)


def check_file(path, shown, folder, allowed):
    """Violations of one file. `folder`: its name in the table, "" for none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if not lines or lines[0] != LICENCE:
        yield f"{shown}:1: expected the first line '{LICENCE}'"
    if path.suffix == ".h" and "#pragma once" not in lines:
        yield f"{shown}:1: expected '#pragma once'"
    for number, line in enumerate(lines, start=1):
        if not line.isascii():
            yield f"{shown}:{number}: found a character beyond ASCII"
        match = INCLUDE.match(line)
        problem = match and _include_problem(match, folder, allowed)
        if problem:
            yield f"{shown}:{number}: {problem}"


def _include_problem(match, folder, allowed):
    quote, path = match.groups()
    if allowed is None:
        return None
    if path == "torch/torch.h":
        return "found the umbrella torch/torch.h, allowed the narrowest header"
    target = included_folder(path)
    if target is None:
        if quote == '"':
            return f'found "{path}", allowed the full path "dblocks/..."'
        return None
    if target == folder or target in allowed:
        return None
    names = ", ".join(sorted(allowed)) or "nothing of ours"
    return f'found "{path}", allowed in {folder or "dblocks"}: {names}'


def check(root):
    """Returns every violation below `root`. Errors: TableError, OSError."""
    table = read_table(root / "docs" / "architecture.md")
    found = list(check_folders(root, table))
    for name, allowed in table.items():
        for path in _sources(root / place_of(name)):
            shown = path.relative_to(root).as_posix()
            found += check_file(path, shown, name, allowed)
    # Files directly in dblocks/ belong to no room and include none.
    for path in sorted(root.glob("dblocks/*.h")):
        shown = path.relative_to(root).as_posix()
        found += check_file(path, shown, "", set())
    return found


def main(arguments):
    root = Path(arguments[0] if arguments else Path(__file__).parents[1])
    try:
        found = check(root)
    except (TableError, OSError) as error:
        print(f"check_includes: {error}", file=sys.stderr)
        return 2
    for violation in found:
        print(violation)
    print(f"check_includes: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
