# SPDX-License-Identifier: Apache-2.0
"""Installs the library and builds an example with nothing but what was installed.

DBLOCKS_BUILD is the build folder, DBLOCKS_CMAKE the program cmake,
DBLOCKS_GENERATOR its generator and DBLOCKS_TORCH_ROOT the folder of LibTorch.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ.get("DBLOCKS_BUILD", "build")
CMAKE = os.environ.get("DBLOCKS_CMAKE", "cmake")
GENERATOR = os.environ.get("DBLOCKS_GENERATOR", "Ninja")
TORCH_ROOT = os.environ.get("DBLOCKS_TORCH_ROOT", "")
ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_layer_stack"


def run(*arguments):
    result = subprocess.run([str(a) for a in arguments], capture_output=True,
                            text=True, timeout=300)
    if result.returncode != 0:
        raise AssertionError(f"{arguments}\n{result.stdout}\n{result.stderr}")
    return result.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = pathlib.Path(cls.holder.name)
        cls.prefix = cls.folder / "prefix"
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)

    def test_installed_headers_include_installed_headers_only(self):
        include = self.prefix / "include"
        headers = sorted(include.rglob("*.h"))
        self.assertGreater(len(headers), 20)
        for header in headers:
            for name in re.findall(r'#include "(dblocks/[^"]+)"',
                                   header.read_text()):
                self.assertTrue((include / name).exists(), f"{header}: {name}")

    def test_package_names_no_folder_of_the_source_tree(self):
        for file in self.prefix.rglob("dblocksTargets*.cmake"):
            self.assertNotIn(str(ROOT) + "/dblocks", file.read_text())

    def test_own_layers_train_block_by_block(self):
        source, build = self.folder / "source", self.folder / "build"
        shutil.copytree(EXAMPLE, source)  # out of reach of our own headers
        run(CMAKE, "-S", source, "-B", build, "-G", GENERATOR,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DTORCH_ROOT={TORCH_ROOT}")
        run(CMAKE, "--build", build)
        output = run(build / "own_layer_stack")
        losses = re.findall(r"^block \d: .* loss ([\d.]+)$", output, re.M)
        self.assertEqual(len(losses), 3, output)
        chain, whole, mean = map(
            float, re.search(r"chain of 3 blocks ([\d.]+), end to end ([\d.]+), "
                             r"always the mean ([\d.]+)", output).groups())
        self.assertLess(chain, 0.05 * mean, output)
        self.assertLess(whole, 0.05 * mean, output)


if __name__ == "__main__":
    unittest.main()
