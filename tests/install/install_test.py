# SPDX-License-Identifier: Apache-2.0
"""Installs the library; another project finds it.

DBLOCKS_BUILD is the build folder, DBLOCKS_CMAKE the program cmake,
DBLOCKS_GENERATOR its generator and DBLOCKS_TORCH_ROOT the folder of LibTorch.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

BUILD = os.environ.get("DBLOCKS_BUILD", "build")
CMAKE = os.environ.get("DBLOCKS_CMAKE", "cmake")
GENERATOR = os.environ.get("DBLOCKS_GENERATOR", "Ninja")
TORCH_ROOT = os.environ.get("DBLOCKS_TORCH_ROOT", "")
ROOT = pathlib.Path(__file__).resolve().parents[2]

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(other LANGUAGES CXX)
find_package(dblocks 0.1 REQUIRED)
foreach(target dblocks::dblocks dblocks::plain dblocks::torch_cpu)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "no target ${target}")
  endif()
endforeach()
"""


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

    def test_another_project_finds_the_package(self):
        source = self.folder / "source"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(PROJECT)
        run(CMAKE, "-S", source, "-B", self.folder / "build", "-G", GENERATOR,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DTORCH_ROOT={TORCH_ROOT}")


if __name__ == "__main__":
    unittest.main()
