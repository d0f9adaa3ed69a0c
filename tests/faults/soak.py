# SPDX-License-Identifier: Apache-2.0
"""A long run whose blocks take turns through disk: does anything grow?"""

import dataclasses
import json
import os
import pathlib
import signal
import statistics
import subprocess
import time

import support

RECIPE = support.ROOT / "recipes" / "debug_big_stack.toml"
SETTINGS = {"train.steps": 10_000_000, "checkpoint.every_steps": 10,
            "train.log_every_steps": 50, "data.test_samples": 0}
NUM_BLOCKS = 8


@dataclasses.dataclass
class Sample:
    resident: int  # bytes
    descriptors: int
    threads: int
    files: int  # in the run folder
    disk: int  # bytes of them, without the logs


def command(verb, data, *more):
    words = [support.PROGRAM, verb, str(RECIPE), "--set", f"data.root={data}"]
    for key, value in SETTINGS.items():
        words += ["--set", f"{key}={value}"]
    return words + [str(word) for word in more]


def memory_for_a_few_blocks(data):
    """A --memory that three of the eight blocks' states fit into."""
    plan = json.loads(support.run(
        command("plan", data, "--memory", "64GiB", "--json")).stdout)["paging"]
    return (plan["least_bytes"] + plan["building_bytes"]
            + 3 * plan["state_bytes"])


def take(pid, run_folder):
    """None once the process is gone."""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in
                      (process / "status").read_text().splitlines())
        descriptors = len(os.listdir(process / "fd"))
        resident = int(status["VmRSS"].split()[0]) * 1024
        threads = int(status["Threads"])
    except (OSError, KeyError):
        return None
    files = disk = 0
    for folder, _, names in os.walk(run_folder):
        for name in names:
            files += 1
            if not name.endswith(".jsonl") and "tfevents" not in name:
                try:
                    disk += os.stat(os.path.join(folder, name)).st_size
                except FileNotFoundError:
                    pass  # a checkpoint that was removed meanwhile
    return Sample(resident, descriptors, threads, files, disk)


def steps_logged(run_folder):
    """Steps by the last whole line of each block's log."""
    steps = []
    for log in pathlib.Path(run_folder).glob("blocks/*/log.jsonl"):
        lines = log.read_text().split("\n")[:-1]
        steps.append(json.loads(lines[-1])["step"] if lines else 0)
    return steps


def growth(samples, what):
    """Median of the last quarter less that of the second one; the first quarter
    is for settling. Of threads and descriptors the fewest: states that move
    have some of their own, and what leaks is there when none moves."""
    values = [getattr(sample, what) for sample in samples]
    quarter = len(values) // 4
    of = min if what in ("threads", "descriptors") else statistics.median
    return of(values[-quarter:]) - of(values[quarter:2 * quarter])


def soak(seconds, every=0.5):
    """Trains so long once every block has logged, for a block's log files are
    opened by its first line. Returns the samples, the steps that were logged and
    what was wrong."""
    with support.scratch() as folder:
        support.write_data(folder / "data")
        out = folder / "run"
        limit = memory_for_a_few_blocks(folder / "data")
        with open(folder / "output", "w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                command("train", folder / "data", "--memory", limit, "--out",
                        out, "--threads", 1), stdout=output, stderr=output)
            while (process.poll() is None
                   and sum(step > 0 for step in steps_logged(out)) < NUM_BLOCKS):
                time.sleep(every)
            samples, end = [], time.monotonic() + seconds
            while time.monotonic() < end and process.poll() is None:
                time.sleep(every)
                sample = take(process.pid, out)
                if sample:
                    samples.append(sample)
            died = process.poll()
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=120)
            output.seek(0)
            text = output.read()
        steps = sum(steps_logged(out))
    wrong = []
    if died is not None or code != 75:
        wrong.append(f"expected to be stopped with 75, found {died or code}: "
                     f"{text[-500:]}")
    if "on disk: page files" not in text:
        wrong.append("no block was paged to disk")
    if len(samples) < 20:
        return samples, steps, wrong + [f"only {len(samples)} samples"]
    resident = statistics.median(s.resident for s in samples)
    for what, most in (("resident", 0.01 * resident), ("descriptors", 1),
                       ("threads", 0), ("files", 8),
                       ("disk", 0.05 * samples[-1].disk)):
        if growth(samples, what) > most:
            wrong.append(f"{what} grew by {growth(samples, what)}, more than "
                         f"{most:.0f}")
    return samples, steps, wrong
