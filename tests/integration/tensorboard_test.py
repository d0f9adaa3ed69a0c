# SPDX-License-Identifier: Apache-2.0
"""The real TensorBoard reads what a run wrote.

Started with the interpreter of DBLOCKS_PYTHON, which has tensorboard; skipped
where there is none.
"""

import io
import json
import signal
import subprocess
import time
import unittest

from program_test import PROGRAM, RECIPE, SMALL, Program, run

try:
    import numpy
    from PIL import Image
    from tensorboard.backend.event_processing import event_accumulator
    MISSING = ""
except ImportError as error:
    MISSING = f"{error}; tools/setup.sh --tests installs it"

EVERY = ["--set", "train.log_every_steps=4",
         "--set", "report.histograms_every_steps=20"]


def open_events(folder):
    """Everything that TensorBoard keeps of one of its runs."""
    events = event_accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    events.Reload()
    return events


@unittest.skipIf(MISSING, MISSING)
class TensorBoard(Program):
    def train(self, out, *more):
        self.expect(run("train", RECIPE, "--out", out, *SMALL, *EVERY, *more),
                    0)

    def start(self, out):
        return subprocess.Popen(
            [PROGRAM, "train", RECIPE, "--out", str(out), *SMALL, *EVERY],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def assert_scalars_equal_log(self, block, events):
        lines = [json.loads(line) for line in
                 (block / "log.jsonl").read_text().splitlines()]
        keys = set(lines[0]) - {"step", "steps", "block"}
        self.assertIn("loss", keys)
        self.assertEqual(set(events.Tags()["scalars"]), keys)
        for key in keys:
            self.assertEqual(
                [(e.step, e.value) for e in events.Scalars(key)],
                [(line["step"], float(numpy.float32(line[key])))
                 for line in lines], key)

    def test_scalars_equal_the_log_and_images_and_histograms_are_whole(self):
        out = self.folder / "run"
        self.train(out)
        for block in sorted((out / "blocks").iterdir()):
            events = open_events(block)
            self.assert_scalars_equal_log(block, events)
            (image,) = events.Images("batch")
            with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
                picture.load()
                self.assertEqual(picture.size, (8 * 28, 4 * 28))
                self.assertGreater(len(set(picture.tobytes())), 20)
            tags = events.Tags()["histograms"]
            self.assertEqual(len(tags), 84)
            for tag in tags:
                found = events.Histograms(tag)
                self.assertEqual([e.step for e in found], [20, 40])
                for event in found:
                    value = event.histogram_value
                    self.assertGreater(value.num, 0)
                    self.assertEqual(sum(value.bucket), value.num)
                    self.assertLessEqual(value.min, value.max)
                    self.assertEqual(value.bucket_limit[-1], value.max)

    def test_a_histogram_is_of_the_weights_that_were_saved(self):
        out = self.folder / "run"
        self.train(out, "--block", "1")
        block = out / "blocks" / "1"
        content = (block / "checkpoints" / "step_000000040" /
                   "weights.safetensors").read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8:8 + size])
        name = "blocks.1.patch_embedding.weight"
        begin, end = header[name]["data_offsets"]
        weights = numpy.frombuffer(content[8 + size + begin:8 + size + end],
                                   numpy.float32).astype(numpy.float64)
        value = open_events(block).Histograms(
            f"weights/{name}")[-1].histogram_value
        self.assertEqual(value.num, weights.size)
        self.assertEqual(value.min, weights.min())
        self.assertEqual(value.max, weights.max())
        self.assertAlmostEqual(value.sum, weights.sum(), places=9)
        self.assertAlmostEqual(value.sum_squares, (weights ** 2).sum(),
                               places=9)

    def test_kills_leave_no_step_twice_and_merging_keeps_the_events(self):
        out = self.folder / "run"
        watching = None
        for _ in range(4):
            block = out / "blocks" / "0"
            old = set(block.glob("events*"))
            log = block / "log.jsonl"
            process = self.start(out)
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                is_logging = set(block.glob("events*")) - old
                if (is_logging and log.exists() and
                        log.stat().st_size > 1500):
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if watching is None:
                watching = open_events(block)
        self.train(out)
        # A TensorBoard that was watching all along sees the same.
        watching.Reload()
        self.assert_scalars_equal_log(block, watching)
        for block in sorted((out / "blocks").iterdir()):
            self.assert_scalars_equal_log(block, open_events(block))
        merged = self.folder / "merged"
        self.expect(run("merge", out, "--out", merged), 0)
        self.expect(run("verify", merged), 0)
        for block in sorted((merged / "blocks").iterdir()):
            self.assert_scalars_equal_log(block, open_events(block))
