# SPDX-License-Identifier: Apache-2.0
"""Small runs of the real program, and what a run folder holds.

DBLOCKS_PROGRAM names the program. The data set is drawn here, so that one start
costs little: most of what a killed run takes is starting.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("DBLOCKS_PROGRAM", str(ROOT / "build/bin/dblocks"))
RECIPE = ROOT / "recipes" / "debug_vit.toml"
# A few narrow layers; a checkpoint after every other step.
SMALL = {"model.num_layers": 3, "model.width": 16, "model.heads": 2,
         "model.mlp_width": 32, "data.batch_size": 16, "train.steps": 16,
         "data.test_samples": 0, "optim.warmup_steps": 2,
         "checkpoint.every_steps": 2, "train.log_every_steps": 2}


def write_idx(path, shape, content):
    header = struct.pack(f">I{len(shape)}I", 0x0800 + len(shape), *shape)
    path.write_bytes(header + content)


def write_data(folder, samples=256):
    """Something with the format of Fashion-MNIST, the same at every call."""
    folder = pathlib.Path(folder) / "fashion-mnist"
    folder.mkdir(parents=True)
    chance = random.Random(0)
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", (samples, 28, 28),
                  chance.randbytes(samples * 28 * 28))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", (samples,),
                  bytes(chance.randrange(10) for _ in range(samples)))


def train_command(data, out, settings=None):
    """The command line of a small run."""
    values = SMALL | {"data.root": data} | (settings or {})
    command = [PROGRAM, "train", str(RECIPE), "--out", str(out), "--threads",
               "1"]
    for key, value in values.items():
        command += ["--set", f"{key}={value}"]
    return command


def run(command, **more):
    return subprocess.run([str(word) for word in command], text=True,
                          capture_output=True, timeout=300, check=False,
                          **more)


def digest(run_folder):
    """Hash of the newest checkpoint of every block and of every loss logged."""
    total = hashlib.sha256()
    for block in sorted((pathlib.Path(run_folder) / "blocks").iterdir()):
        newest = sorted((block / "checkpoints").glob("step_*"))[-1]
        for file in sorted(newest.iterdir()):
            total.update(f"{block.name}/{newest.name}/{file.name}".encode())
            total.update(file.read_bytes())
        for line in (block / "log.jsonl").read_text().splitlines():
            entry = json.loads(line)
            total.update(f"{entry['step']} {entry['loss']!r}".encode())
    return total.hexdigest()


def steps(run_folder):
    """The newest step on disk of every block; 0 where there is none."""
    found = {}
    for block in sorted(pathlib.Path(run_folder).glob("blocks/*")):
        names = sorted((block / "checkpoints").glob("step_*"))
        found[block.name] = int(names[-1].name[5:]) if names else 0
    return found


def partial_commits(run_folder):
    """Folders that a commit was writing or removing."""
    return list(pathlib.Path(run_folder).glob("blocks/*/checkpoints/tmp_*"))


def catches(pid, signals):
    """Whether the process has a handler for every one of the signals."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines()
                   if line.startswith("SigCgt:")), "0")
    return all(int(caught, 16) >> (number - 1) & 1 for number in signals)


@contextlib.contextmanager
def scratch(prefix="dblocks faults "):
    """A folder for one test; the space in its name is deliberate."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield pathlib.Path(name)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"
