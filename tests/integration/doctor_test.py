# SPDX-License-Identifier: Apache-2.0
"""dblocks doctor: what it finds, what it says is missing, and its exit code."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from program_test import PROGRAM, Program


class Doctor(Program):
    def look(self, *arguments, limit=None, **environment):
        return subprocess.run(
            [PROGRAM, "doctor", *map(str, arguments)], capture_output=True,
            text=True, timeout=60, cwd=self.folder, preexec_fn=limit,
            env={**os.environ, "HOME": str(self.folder), **environment})

    def checks(self, *arguments, code=0, **more):
        result = self.expect(self.look("--json", *arguments, **more), code)
        report = json.loads(result.stdout)
        self.assertEqual(report["works"], code == 0)
        return report["checks"]

    def one(self, checks, name):
        (found,) = [check for check in checks if check["name"] == name]
        return found

    def test_finds_what_the_system_has(self):
        start = time.monotonic()
        checks = self.checks()
        self.assertLess(time.monotonic() - start, 10)
        for check in checks:
            self.assertIn(check["status"], ("ok", "missing"), check)
            self.assertTrue(check["found"], check)
        self.assertRegex(self.one(checks, "program")["found"],
                         r"dblocks \d.*LibTorch \d.*glibc \d")
        cpu = self.one(checks, "cpu")["values"]
        self.assertEqual(cpu["cores"], len(os.sched_getaffinity(0)))
        flags = re.search(r"^flags\s*:(.*)$",
                          pathlib.Path("/proc/cpuinfo").read_text(), re.M)
        known = flags.group(1).split() if flags else []
        self.assertEqual(cpu["features"], {
            name: name in known
            for name in ("amx_bf16", "avx2", "avx512_bf16", "avx512f")})
        self.assertGreater(self.one(checks, "speed")["values"]["fp32_gflops"],
                           0.1)
        memory = self.one(checks, "memory")["values"]
        total = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path(
            "/proc/meminfo").read_text()).group(1)) * 1024
        self.assertEqual(memory["total_bytes"], total)
        self.assertTrue(0 < memory["free_bytes"] <= total)
        disk = self.one(checks, "disk")["values"]
        self.assertEqual(disk["folder"], str(self.folder))
        free = shutil.disk_usage(self.folder).free
        self.assertLess(abs(disk["free_bytes"] - free), 1 << 30)
        self.assertGreater(disk["write_bytes_per_second"], 0)
        self.assertEqual(list(self.folder.iterdir()), [], "it left a file")

    def test_every_missing_thing_comes_with_a_fix(self):
        checks = self.checks(VIRTUAL_ENV="")
        data = {check["values"]["dataset"]: check for check in checks
                if check["name"] == "data"}
        self.assertLessEqual({"fashion_mnist", "mnist", "cifar10", "cifar100",
                              "tiny_imagenet"}, set(data))
        for check in checks:
            if check["status"] == "missing" and check["name"] != "cuda":
                self.assertTrue(check["fix"], check)

    def test_a_data_set_in_a_search_folder_is_found_there(self):
        home = self.folder / "cifar-100-binary"
        home.mkdir()
        before = [check for check in self.checks()
                  if check["values"].get("dataset") == "cifar100"]
        self.assertEqual(before[0]["status"], "missing")
        for name in ("train.bin", "test.bin"):
            (home / name).touch()
        after = [check for check in self.checks(DBLOCKS_DATA=str(self.folder))
                 if check["values"].get("dataset") == "cifar100"]
        self.assertEqual(after[0]["status"], "ok")
        self.assertEqual(after[0]["values"]["folder"], str(home))

    def test_python_packages_are_found_in_the_active_environment(self):
        environment = self.folder / "env"
        packages = environment / "lib/python3.11/site-packages"
        (environment / "bin").mkdir(parents=True)
        (environment / "bin/python").touch()
        packages.mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text("version = 3.11.9\n")
        checks = self.checks(VIRTUAL_ENV=str(environment))
        self.assertEqual(self.one(checks, "python")["values"]["version"],
                         "3.11.9")
        board = self.one(checks, "tensorboard")
        self.assertEqual(board["status"], "missing")
        self.assertIn(f"{environment}/bin/python -m pip install tensorboard==",
                      board["fix"])
        (packages / "tensorboard-2.21.0.dist-info").mkdir()
        checks = self.checks(VIRTUAL_ENV=str(environment))
        self.assertEqual(
            self.one(checks, "tensorboard")["values"]["version"], "2.21.0")

    def test_a_folder_that_is_yet_to_be_made_is_judged_by_its_parent(self):
        checks = self.checks("--out", self.folder / "runs" / "new")
        self.assertEqual(self.one(checks, "disk")["values"]["folder"],
                         str(self.folder))
        self.assertFalse((self.folder / "runs").exists())

    def test_a_disk_that_takes_nothing_ends_with_5(self):
        # /proc takes no files, whoever asks.
        disk = self.one(self.checks("--out", "/proc", code=5), "disk")
        self.assertEqual(disk["status"], "bad")
        self.assertTrue(disk["fix"])
        result = self.expect(self.look("--out", "/proc"), 5)
        self.assertIn("training does not work here", result.stdout)

    def test_the_text_is_narrow_and_aligned(self):
        text = self.expect(self.look(), 0).stdout
        lines = text.splitlines()
        self.assertLess(len(lines), 45)
        self.assertIn("training on the CPU works", lines[-1])
        for line in lines[:-2]:
            self.assertRegex(line, r"^(ok     |missing|       )  "
                             r"[a-z ]{11}  +\S", line)
            words = line.split()
            self.assertTrue(len(line) < 80 or
                            len(words[-1]) > 40, line)


if __name__ == "__main__":
    unittest.main()
