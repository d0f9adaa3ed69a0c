# SPDX-License-Identifier: Apache-2.0
"""`dblocks plan` against `dblocks memory`, and what it says about other ways."""

import json
import unittest

from program_test import RECIPE, Program, run

FEW = ["--set", "data.train_samples=500", "--set", "data.test_samples=100",
       "--threads", "1"]


class Plan(Program):
    def json_of(self, verb, *more, code=0):
        return json.loads(self.expect(
            run(verb, RECIPE, *FEW, "--json", *more), code).stdout)

    def test_prediction_is_within_ten_percent_of_the_measurement(self):
        plan, measured = self.json_of("plan"), self.json_of("memory")
        self.assertEqual(len(plan["blocks"]), 3)
        for said, is_so in zip(plan["blocks"], measured["blocks"]):
            self.assertEqual(said["num_parameters"], is_so["num_parameters"])
            self.assertAlmostEqual(
                said["peak_bytes"] / is_so["peak_bytes"], 1, delta=0.1)
        ways = {way["name"]: way["peak_bytes"] for way in plan["other_ways"]}
        self.assertAlmostEqual(
            ways["end to end"] / measured["end_to_end_peak_bytes"], 1, delta=0.1)
        self.assertEqual(ways["block-wise, B = 3"], plan["peak_bytes"])
        self.assertLess(ways["block-wise, B = 6"], ways["block-wise, B = 2"])

    def test_largest_batch_is_the_last_that_fits(self):
        plan = self.json_of("plan", "--memory", "1GiB", "--set",
                            "data.train_samples=50000", "--set",
                            "model.width=256")
        self.assertEqual(plan["memory_bytes"], 1 << 30)
        room = plan["memory_bytes"] - plan["paging"]["program_bytes"]
        largest = plan["largest_batch"]
        for batch, fits in ((largest, True), (largest + 1, False)):
            peak = self.json_of(
                "plan", "--set", f"data.batch_size={batch}",
                "--set", "data.train_samples=50000", "--set",
                "model.width=256")["peak_bytes"]
            self.assertEqual(peak <= room, fits)

    def test_settings_that_fit_are_found_and_plan_as_said(self):
        # Large enough that what the program itself takes, which differs a
        # little from start to start, does not matter.
        large = ["--set", "model.width=128", "--set", "data.batch_size=256"]
        plan = self.json_of("plan", *large, "--memory=4GiB")
        limit = plan["paging"]["program_bytes"] + plan["peak_bytes"] * 3 // 4
        tried = self.json_of("plan", *large, f"--memory={limit}",
                             code=5)["settings"]
        self.assertEqual([s["fits"] for s in tried],
                         [False] * (len(tried) - 1) + [True])
        self.assertEqual(tried[0]["peak_bytes"], plan["peak_bytes"])
        chosen = tried[-1]
        keys = {"train.recompute": chosen["recompute"],
                "train.micro_batch": chosen["micro_batch"],
                "optim.moments": chosen["moments"]}
        flags = [part for key, value in keys.items()
                 for part in ("--set", f"{key}={value}")]
        self.assertEqual(self.json_of("plan", *large, *flags)["peak_bytes"],
                         chosen["peak_bytes"])
        self.assertAlmostEqual(
            chosen["peak_bytes"]
            / self.json_of("memory", *large, *flags)["peak_bytes"],
            1, delta=0.1)
        text = self.expect(
            run("plan", RECIPE, *FEW, *large, f"--memory={limit}"), 5).stdout
        self.assertIn("first that fits: --set train.recompute=", text)
        text = self.expect(run("plan", RECIPE, *FEW, "--memory=1KiB"), 5).stdout
        self.assertIn("nothing of this fits into", text)

    def test_a_setting_before_the_recipe_is_a_setting(self):
        plan = json.loads(self.expect(
            run("plan", "--set", "data.batch_size=16", RECIPE, *FEW, "--json"),
            0).stdout)
        after = self.json_of("plan", "--set", "data.batch_size=16")
        self.assertEqual(plan["peak_bytes"], after["peak_bytes"])
        self.assertLess(plan["peak_bytes"], self.json_of("plan")["peak_bytes"])

    def test_time_by_assumed_rates_is_the_formula(self):
        plan = self.json_of("plan")
        time = plan["time"]
        self.assertEqual(time["source"], "assumed")
        self.assertEqual(time["rates"]["products_flops_per_second"], 50e9)
        self.assertEqual(time["rates"]["memory_bytes_per_second"], 5e9)
        self.assertAlmostEqual(
            time["products_seconds"] + time["memory_seconds"],
            time["step_seconds"])
        # Blocks alike: three steps of one are a step of all three.
        self.assertAlmostEqual(3 * time["step_seconds"], time["sweep_seconds"])
        # Linear layers alone, batch 64: six operations per weight and token.
        layer = 4 * 64**2 + 2 * 64 * 256
        least = 6 * 64 * 17 * layer / 50e9
        self.assertLess(least, time["products_seconds"])
        self.assertLess(time["products_seconds"], 3 * least)
        ways = {way["name"]: way["sweep_seconds"] for way in plan["other_ways"]}
        self.assertAlmostEqual(ways["block-wise, B = 3"], time["sweep_seconds"])
        self.assertGreater(ways["end to end, recomputed"], ways["end to end"])
        self.assertIsNone(time["paged"])

    def test_time_by_measured_rates_is_near_what_training_takes(self):
        predicted = self.json_of("plan", "--measure")["time"]
        self.assertEqual(predicted["source"], "measured")
        out = self.folder / "run"
        self.expect(run("train", RECIPE, *FEW, "--out", out, "--set",
                        "train.steps=40"), 0)
        log = (out / "blocks/0/log.jsonl").read_text().splitlines()
        measured = 64 / json.loads(log[-1])["images_per_second"]
        # Wide: other programs may slow one of the two down.
        self.assertLess(measured / 6, predicted["step_seconds"])
        self.assertLess(predicted["step_seconds"], measured * 6)

    def test_paged_steps_wait_for_what_they_cannot_hide(self):
        # Room for one state of three beside program and step.
        wide = ["--set", "model.width=512", "--set", "model.mlp_width=2048",
                "--set", "train.schedule=alternating"]
        large = self.json_of("plan", *wide, "--memory=8GiB")["paging"]
        limit = large["least_bytes"] + large["state_bytes"] // 4
        for steps in (1, 20):
            plan = self.json_of(
                "plan", *wide, f"--memory={limit}", "--set",
                f"train.steps_per_visit={steps}")
            self.assertEqual(plan["paging"]["blocks_in_memory"], 1)
            paged, step = plan["time"]["paged"], plan["time"]["step_seconds"]
            move = 2 * plan["paging"]["state_bytes"] / 1e9
            self.assertAlmostEqual(paged["move_seconds"], move)
            self.assertAlmostEqual(paged["steps_to_hide"], move / step)
            self.assertAlmostEqual(paged["step_seconds"], step + move / steps)
            self.assertAlmostEqual(
                paged["wait_share"], move / (move + steps * step))
        text = self.expect(run("plan", RECIPE, *FEW, *wide,
                               f"--memory={limit}"), 0).stdout
        self.assertIn("paged: a state comes in at 1.00 GB/s", text)

    def test_table_for_people_and_sizes_that_are_none(self):
        text = self.expect(run("plan", RECIPE, *FEW), 0).stdout
        self.assertIn("activations", text.splitlines()[0])
        self.assertRegex(text, r"(?m)^predicted peak of a step .*ratio")
        self.assertRegex(text, r"(?m)^predicted time of a step .*GFLOP/s")
        self.assertIn("assumed; --measure", text)
        for size in ("much", "12 apples", "-3GiB"):
            refused = self.expect(
                run("plan", RECIPE, f"--memory={size}"), 2)
            self.assertIn("--memory", refused.stderr)


if __name__ == "__main__":
    unittest.main()
