# SPDX-License-Identifier: Apache-2.0
"""setup.sh installs what is missing and touches nothing else.

The package manager, sudo and the environment's python are stand-ins, so no
test installs anything or uses the network.
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from script_case import ScriptCase  # noqa: E402

WHEELS = ("torch-2.11.0", "nvidia_cuda_runtime-13.0.96",
          "nvidia_cuda_cupti-13.0.85")


class SetupTest(ScriptCase):
    def setUp(self):
        super().setUp()
        self.copy("tools/setup.sh")
        self.fake("apt-get")
        self.set_user(root=False, sudo=False)
        self.set_missing()
        self.set_python()

    def set_user(self, root, sudo):
        self.fake("id", f"echo {0 if root else 1000}")
        self.fake("sudo", '[[ $1 == -n ]] && shift\n"$@"' if sudo else "exit 1")

    def set_missing(self, *packages):
        names = "|".join(packages) or "-"
        self.fake("dpkg-query", f"case ${{@: -1}} in {names}) exit 1 ;; esac\n"
                  "printf installed")

    def set_python(self, imports=True):
        self.fake("python", '[[ $* == *"import torch"* ]] && '
                  f"exit {0 if imports else 1}\nexit 0",
                  self.root / ".venv/bin")

    def add_wheels(self, *names):
        for name in names:
            info = (self.root / ".venv/lib/python3.11/site-packages" /
                    f"{name}.dist-info")
            info.mkdir(parents=True)
            (info / "INSTALLER").write_text("pip\n")

    def pip_calls(self):
        return [call for call in self.calls("python") if " install " in call]

    def assert_code(self, result, code):
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)

    def test_a_complete_machine_is_left_alone(self):
        self.add_wheels(*WHEELS)
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        self.assertEqual(self.calls("apt-get"), [])
        self.assertEqual(self.calls("sudo"), [])
        self.assertEqual(self.pip_calls(), [])

    def test_without_root_the_exact_command_is_printed(self):
        self.add_wheels(*WHEELS)
        self.set_missing("ninja-build", "libfmt-dev")
        result = self.run_script("tools/setup.sh")
        self.assert_code(result, 2)
        self.assertIn("apt-get update && apt-get install -y "
                      "--no-install-recommends ninja-build libfmt-dev\n",
                      result.stderr)
        self.assertEqual(self.calls("apt-get"), [])

    def test_root_installs_only_the_missing_packages(self):
        self.add_wheels(*WHEELS)
        self.set_user(root=True, sudo=False)
        self.set_missing("cmake", "mold")
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        install = self.calls("apt-get")[-1]
        self.assertTrue(install.endswith("--no-install-recommends cmake mold"))
        self.assertEqual(self.calls("sudo"), [])

    def test_sudo_is_used_where_it_needs_no_password(self):
        self.add_wheels(*WHEELS)
        self.set_user(root=False, sudo=True)
        self.set_missing("cmake")
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        self.assertTrue(self.calls("apt-get")[-1].endswith(" cmake"))

    def test_packages_that_only_speed_things_up_are_not_demanded(self):
        self.add_wheels(*WHEELS)
        self.set_missing("ccache", "mold")
        result = self.run_script("tools/setup.sh")
        self.assert_code(result, 0)
        self.assertIn("ccache mold (optional)", result.stdout)

    def test_packages_of_the_tests_are_demanded_by_the_tests_alone(self):
        self.add_wheels(*WHEELS)
        self.set_missing("libgtest-dev")
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        self.assert_code(self.run_script("tools/setup.sh", "--tests"), 2)

    def test_a_cpu_machine_fetches_three_wheels_without_dependencies(self):
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        (call,) = self.pip_calls()
        self.assertIn("--no-deps torch==2.11.0 nvidia-cuda-runtime==13.0.96 "
                      "nvidia-cuda-cupti==13.0.85", call)

    def test_a_missing_or_older_wheel_is_noticed(self):
        self.add_wheels("torch-2.10.0", *WHEELS[1:])
        self.assert_code(self.run_script("tools/setup.sh"), 0)
        self.assertEqual(len(self.pip_calls()), 1)

    def test_cuda_fetches_every_dependency(self):
        self.add_wheels(*WHEELS)
        self.set_python(imports=False)
        self.assert_code(self.run_script("tools/setup.sh", "--cuda"), 0)
        (call,) = self.pip_calls()
        self.assertTrue(call.endswith(" torch==2.11.0"))
        self.assertNotIn("--no-deps", call)

    def test_the_tests_need_numpy_beside_a_pytorch_that_imports(self):
        self.add_wheels(*WHEELS)
        self.set_python(imports=False)
        self.assert_code(self.run_script("tools/setup.sh", "--tests"), 0)
        (call,) = self.pip_calls()
        self.assertTrue(call.endswith(
            " torch==2.11.0 numpy>=2,<3 scipy>=1.14,<2 tensorboard==2.21.0"))

    def test_a_full_pytorch_serves_the_cpu_build_too(self):
        self.add_wheels(*WHEELS)
        for options in ([], ["--cuda"], ["--tests"]):
            self.assert_code(self.run_script("tools/setup.sh", *options), 0)
        self.assertEqual(self.pip_calls(), [])

    def test_an_unknown_option_shows_the_usage(self):
        result = self.run_script("tools/setup.sh", "--gpu")
        self.assert_code(result, 2)
        self.assertIn("usage: tools/setup.sh", result.stderr)


if __name__ == "__main__":
    unittest.main()
