# SPDX-License-Identifier: Apache-2.0
"""`--memory`: what does not fit is refused, what fits trains to the same bits."""

import json
import signal
import subprocess
import time
import unittest

from program_test import PROGRAM, ROOT, Program, run, weights_of

RECIPE = str(ROOT / "recipes" / "debug_big_stack.toml")
FEW = ["--set", "data.train_samples=500", "--set", "data.test_samples=100",
       "--threads", "1"]
MIB = 1 << 20


def train(out, *more):
    return run("train", RECIPE, "--out", out, *FEW, *more)


class Paging(Program):
    def plan(self, code, memory, *more):
        return self.expect(run("plan", RECIPE, *FEW, "--memory", memory, *more),
                           code)

    def budget(self):
        """Room for two states and the making of one, but not for eight."""
        p = json.loads(self.plan(0, "100GiB", "--json").stdout)["paging"]
        return (p["least_bytes"] + p["state_bytes"] + p["building_bytes"] +
                p["state_bytes"] // 2)

    def test_the_plan_counts_states(self):
        rich = json.loads(self.plan(0, "100GiB", "--json").stdout)["paging"]
        self.assertEqual(rich["num_blocks"], 8)
        self.assertEqual(rich["blocks_in_memory"], 8)
        self.assertEqual(rich["disk_bytes"], 0)
        poor = json.loads(self.plan(0, self.budget(), "--json").stdout)["paging"]
        self.assertTrue(1 <= poor["blocks_in_memory"] < 8)
        self.assertEqual(poor["disk_bytes"], 8 * poor["state_bytes"])

    def test_a_device_that_is_not_here_can_be_planned_for(self):
        state = json.loads(self.plan(0, "100GiB", "--device", "cuda",
                                     "--json").stdout)["paging"]["state_bytes"]
        for host, kept, disk in ((1 << 40, 8, 0), (3.5 * state, 3, 8 * state),
                                 (1, 1, 8 * state)):
            words = ["--device", "cuda", "--host-memory", str(int(host))]
            plan = json.loads(self.plan(0, "100GiB", *words, "--json").stdout)
            paging = plan["paging"]
            self.assertEqual(paging["blocks_in_host_memory"], kept)
            self.assertEqual(paging["disk_bytes"], disk)
            self.assertEqual(paging["blocks_in_memory"], 2)
            self.assertEqual(paging["program_bytes"], 0)
            self.assertEqual(paging["peak_bytes"],
                             paging["step_bytes"] + 2 * state +
                             paging["building_bytes"])
            self.assertNotIn("time", plan)
            text = self.plan(0, "100GiB", *words).stdout
            self.assertIn(f"in host memory: {kept} states", text)
        self.assertEqual(
            json.loads(self.plan(0, "100GiB", "--device", "cuda", "--set",
                                 "train.schedule=sequential", "--json").stdout)
            ["paging"]["blocks_in_memory"], 1)
        self.plan(5, "1MiB", "--device", "cuda")
        for verb in (["plan", RECIPE, *FEW],
                     ["train", RECIPE, "--out", self.folder / "run", *FEW]):
            refused = self.expect(run(*verb, "--host-memory", "1GiB"), 2)
            self.assertIn("expected --host-memory with --device cuda",
                          refused.stderr)
        refused = self.expect(run("plan", RECIPE, *FEW, "--device", "gpu"), 2)
        self.assertIn("expected cpu, cuda or cuda:N", refused.stderr)
        refused = self.expect(run("plan", RECIPE, *FEW, "--memory", "1GiB",
                                  "--device", "cuda", "--host-memory", "much"),
                              2)
        self.assertIn("expected --host-memory to be a size", refused.stderr)

    def test_what_does_not_fit_is_refused_with_numbers(self):
        for refused in (self.plan(5, "50MiB"),
                        self.expect(train(self.folder / "run", "--memory",
                                          "50MiB"), 5)):
            self.assertRegex(refused.stderr,
                             r"expected --memory of at least [\d.]+ [MG]iB, "
                             r"found 50\.0 MiB: .* state of one block .*")
        self.assertFalse((self.folder / "run").exists())
        # The same memory, end to end: eight times the state does not fit.
        fits = str(self.budget())
        self.plan(0, fits)
        self.plan(5, fits, "--set", "method=end_to_end")

    def test_killed_and_resumed_it_ends_as_without_paging(self):
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.expect(train(whole), 0)
        memory = ["--memory", str(self.budget())]
        command = [PROGRAM, "train", RECIPE, "--out", str(parts), *FEW, *memory]
        for _ in range(2):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            before = len(list(parts.glob("blocks/*/checkpoints/step_*")))
            deadline = time.monotonic() + 60
            while (process.poll() is None and time.monotonic() < deadline and
                   len(list(parts.glob("blocks/*/checkpoints/step_*")))
                   < before + 2):
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = self.expect(train(parts, *memory), 0)
        self.assertIn("on disk: page files", done.stdout)
        self.assertRegex(done.stdout, r"paging: .* waited for [\d.]+ %")
        self.assertEqual(weights_of(parts), weights_of(whole))
        self.assertEqual(list(parts.glob("blocks/*/page")), [])
        line = json.loads((parts / "blocks/0/log.jsonl").read_text()
                          .splitlines()[-1])
        self.assertTrue(0 <= line["paging_wait_share"] <= 1)
        self.assertTrue(0 <= line["paging_hidden_share"] <= 1)


if __name__ == "__main__":
    unittest.main()
