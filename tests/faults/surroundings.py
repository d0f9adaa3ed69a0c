# SPDX-License-Identifier: Apache-2.0
"""Runs in places that do not suit them: no room, no permission, odd names, a
clock that jumps, another process in the same folder."""

import contextlib
import os
import resource
import shutil
import subprocess
import time

import support

NOBODY = 65534


def limit_files(limit_bytes):
    """For subprocess: no file may grow beyond this."""
    def apply():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    return apply


@contextlib.contextmanager
def small_disk(folder, size_kib):
    """A file system of that size; yields nothing where we may not mount."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder],
        capture_output=True, check=False).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def grow_disk(folder):
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)


def complaint(done, code, word):
    """What is wrong with the end of a command; "" if it is the one asked
    for: this exit code and one line that names the word."""
    lines = [line for line in done.stderr.splitlines()
             if line.startswith("dblocks: error: [")]
    if done.returncode != code or len(lines) != 1 or word not in lines[0]:
        return f"expected {code} and {word}, found {done.returncode}: " \
            f"{done.stderr[-500:]}"
    return ""


class Place:
    """A data set, and the digest of a run that nothing met."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        support.write_data(self.data, samples=32)
        whole = folder / "whole"
        done = support.run(self.command(whole))
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        self.reference = support.digest(whole)

    def command(self, out, settings=None):
        return support.train_command(
            self.data, out, {"train.steps": 4} | (settings or {}))

    def finishes(self, out, **more):
        """"" if the run in `out` ends as it should."""
        done = support.run(self.command(out), **more)
        if done.returncode != 0 or "rejected" in done.stderr:
            return f"{done.returncode}: {done.stderr[-500:]}"
        if support.digest(out) != self.reference:
            return "the finished run differs from the reference"
        return ""

    def fill_disk(self, size_kib):
        """A disk of that size fills up, then grows. Returns (whether it was
        full, what is wrong), or None if mounting is not permitted."""
        with small_disk(self.folder / f"disk {size_kib}", size_kib) as disk:
            if disk is None:
                return None
            out = disk / "run"
            done = support.run(self.command(out))
            if done.returncode == 0:
                return False, ""
            wrong = complaint(done, 5, "no space")
            grow_disk(disk)
            return True, wrong or self.finishes(out)

    def limit_files(self, limit_bytes):
        """The same with a limit on the size of a file."""
        out = self.folder / f"limit {limit_bytes}"
        done = support.run(self.command(out),
                           preexec_fn=limit_files(limit_bytes))
        if done.returncode == 0:
            return False, ""
        return True, complaint(done, 5, "no space") or self.finishes(out)

    def odd_names(self):
        """What is wrong with runs under unusual names, by name."""
        names = ["with space", "new\nline", "\u00fcml\u00e4ut \u2603",
                 "quote'\"$HOME", "n" * 255, "/".join(["deep" * 20] * 10)]
        wrong = {}
        for name in names:
            found = self.finishes(self.folder / "odd" / name)
            if found:
                wrong[name] = found
        too_long = support.run(self.command(self.folder / ("n" * 256)))
        if too_long.returncode != 4:
            wrong["256 letters"] = too_long.stderr
        return wrong

    def read_only_folder(self):
        """As a user without rights, in a folder of somebody else; None if that
        user cannot even start the program."""
        home = self.folder / "not mine"
        home.mkdir(mode=0o755)
        for folder in (self.folder, self.folder / "data"):
            folder.chmod(0o755)
        program = shutil.copy(support.PROGRAM, self.folder / "program")
        recipe = shutil.copy(support.RECIPE, self.folder / "recipe.toml")
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        if support.run([program, "--version"], **who).returncode != 0:
            return None
        command = [program, "train", recipe, *self.command(home / "run")[3:]]
        return complaint(support.run(command, **who), 4, str(home))

    def clock_jumps(self):
        """Times of files far in the past and the future change nothing."""
        out = self.folder / "clock"
        support.run(self.command(out))
        for block in sorted(out.glob("blocks/*")):
            newest = sorted((block / "checkpoints").glob("step_*"))[-1]
            shutil.rmtree(newest)
        for i, path in enumerate(sorted(out.rglob("*"))):
            moment = (0, 2**31, 2**33)[i % 3]
            os.utime(path, (moment, moment))
        return self.finishes(out)

    def two_at_once(self):
        """The second process is refused and names the first, which goes on."""
        out = self.folder / "shared"
        endless = self.command(out, {"train.steps": 1000000,
                                     "checkpoint.every_steps": 1000})
        first = subprocess.Popen(endless, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 120
            lease = out / "blocks/2/lease.json"
            while not lease.exists() or str(first.pid) not in lease.read_text():
                if first.poll() is not None or time.monotonic() > deadline:
                    return "the first process does not train"
                time.sleep(0.05)
            second = support.run(endless)
            wrong = complaint(second, 4, f"process {first.pid}")
            if first.poll() is not None:
                wrong = "the first process has ended"
        finally:
            first.kill()
            first.wait()
        return wrong
