# SPDX-License-Identifier: Apache-2.0
"""A folder with copies of our scripts and stand-ins for what they call."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ScriptCase(unittest.TestCase):
    def setUp(self):
        # The space is deliberate: people do keep clones under such names.
        folder = tempfile.TemporaryDirectory(prefix="dblocks test ")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "clone"
        self.bin = Path(folder.name) / "bin"
        self.calls_file = Path(folder.name) / "calls"
        self.bin.mkdir()
        self.calls_file.touch()

    def copy(self, name):
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)

    def fake(self, name, body=":", folder=None):
        """A program that notes its call and then runs `body`."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{path.name} $*" >>"$CALLS"\n'
                        f"{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def run_script(self, name, *arguments):
        environment = dict(os.environ, CALLS=str(self.calls_file),
                           PIP_NO_INDEX="1",  # never reach for the network
                           PATH=f"{self.bin}:/usr/bin:/bin")
        environment.pop("DBLOCKS_PYTHON", None)
        return subprocess.run([str(self.root / name), *arguments], cwd="/",
                              env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def calls(self, program):
        """The calls of a stand-in so far, one a line."""
        lines = self.calls_file.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.split(" ")[0] == program]
