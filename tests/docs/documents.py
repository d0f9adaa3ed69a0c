# SPDX-License-Identifier: Apache-2.0
"""What the tests of the documents share."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(os.environ.get("DBLOCKS_PROGRAM",
                                  ROOT / "build/bin/dblocks")).resolve())


def run(*arguments, **more):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True,
                          text=True, timeout=300, check=False, **more)


def markdown_files():
    """Every page of ours; build folders and runs are not."""
    pages = [*ROOT.glob("*.md")]
    for folder in ("docs", "benchmarks", "examples", "recipes", "tests"):
        pages += (ROOT / folder).rglob("*.md")
    return sorted(pages)


def fences(text):
    """(language, content, line) of every fenced block."""
    found, language, content, start = [], None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if language is None:
                language, content, start = line[3:].strip(), [], number
            else:
                found.append((language, "\n".join(content), start))
                language = None
        elif language is not None:
            content.append(line)
    if language is not None:
        raise ValueError(f"a fence that opens in line {start} never closes")
    return found


def without_fences(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
