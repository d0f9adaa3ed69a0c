# SPDX-License-Identifier: Apache-2.0
"""One commit, stopped or failed by strace at each of its system calls.

A run stands one step before its last; the commit of that step meets the fault.
Afterwards the newest checkpoint is the old or the new one, whole, and the same
command finishes the run with the bytes of one that nothing met.
"""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import support

# One block, a checkpoint at every step. The scene holds more of them than are
# to be kept, so that the commit prunes too.
SETTINGS = {"train.steps": 5, "checkpoint.every_steps": 1}
CHANGES = ("mkdir", "openat", "write", "fsync", "rename", "unlinkat",
           "ftruncate")
CALL = re.compile(r"^(\w+)\((.*)$")


def can_trace():
    """Whether strace may inject faults here."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", "/dev/null", "-e",
                           "inject=getpid:retval=7", "true"],
                          capture_output=True, check=False)
    return done.returncode == 0


class Commit:
    """The last commit of a small run, to be repeated under faults."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        support.write_data(self.data, samples=32)
        whole = folder / "whole"
        done = support.run(self.command(whole, {"checkpoint.keep": 9}))
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        self.reference = support.digest(whole)
        self.template = folder / "template"
        shutil.copytree(whole, self.template)
        newest = self.template / "blocks/0/checkpoints/step_000000005"
        shutil.rmtree(newest)
        self.number = 0

    def command(self, out, more=None):
        return support.train_command(self.data, out, SETTINGS | (
            more or {})) + ["--block", "0"]

    def scene(self):
        """A fresh run that has its last commit before it."""
        self.number += 1
        out = self.folder / f"scene {self.number}"
        shutil.copytree(self.template, out)
        return out

    def traced(self, out, *options):
        log = self.folder / f"{out.name}.strace"
        # Without -f the first thread alone is traced, and that one commits.
        # (--seccomp-bpf would be faster, but loses injected signals.)
        done = support.run(["strace", "-o", log, "-s", "300", *options, "--",
                            *self.command(out)])
        return done, log.read_text(errors="replace").splitlines()

    def calls(self):
        """The calls of the commit: (name, how many of that name came before
        it, counting it)."""
        out = self.scene()
        done, lines = self.traced(out, "-y", "-e",
                                  f"trace={','.join(CHANGES)}")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        seen = dict.fromkeys(CHANGES, 0)
        found = []
        for line in lines:
            match = CALL.match(line)
            if not match or match[1] not in seen:
                continue
            name, arguments = match[1], match[2]
            seen[name] += 1
            is_read = name == "openat" and "O_CREAT" not in arguments
            if f"{out}/blocks/0/" in arguments and not is_read:
                found.append((name, seen[name]))
        return found

    def resume(self, out):
        """What is wrong with the run after a fault; "" if nothing is."""
        steps = support.steps(out)["0"]
        if steps not in (4, 5):
            return f"expected step 4 or 5 on disk, found {steps}"
        done = support.run(self.command(out))
        if done.returncode != 0 or "rejected" in done.stderr:
            return f"resuming: {done.returncode} {done.stderr[-400:]}"
        if support.digest(out) != self.reference:
            return "the finished run differs from the reference"
        return ""

    def fault(self, call, injected, allowed):
        """Injects `injected` at `call`; returns (exit code, what is wrong)."""
        name, ordinal = call
        out = self.scene()
        done, _ = self.traced(out, "-e", f"trace={name}", "-e",
                              f"inject={name}:{injected}:when={ordinal}")
        wrong = ""
        if done.returncode not in allowed:
            wrong = f"ended with {done.returncode}: {done.stderr[-400:]}"
        if done.returncode == 0 and support.steps(out)["0"] != 5:
            wrong = "reported as saved, and is not"
        if done.returncode in (4, 5) and "dblocks: error: [" not in done.stderr:
            wrong = f"no clear error: {done.stderr[-400:]}"
        wrong = wrong or self.resume(out)
        shutil.rmtree(out, ignore_errors=True)
        where = f"{name} {ordinal} {injected}"
        return done.returncode, f"{where}: {wrong}" if wrong else ""


def thinned(calls, every):
    """Of the writes, which are many and alike, each `every`-th; all others."""
    writes = [call for call in calls if call[0] == "write"]
    kept = set(writes[::every])
    return [c for c in calls if c[0] != "write" or c in kept]


def sweep(injected, names, allowed, at_once=2, every=1):
    """Injects one fault at each call of the names given. Returns the number of
    calls, a count of exit codes, and what went wrong."""
    with support.scratch() as folder:
        commits = []
        for i in range(at_once):
            own = folder / str(i)
            own.mkdir()
            commits.append(Commit(own))
        calls = [c for c in commits[0].calls() if c[0] in names]
        calls = thinned(calls, every)
        codes, failures = {}, []

        def work(i):
            return [commits[i].fault(call, injected, allowed)
                    for call in calls[i::at_once]]

        with ThreadPoolExecutor(at_once) as pool:
            for results in pool.map(work, range(at_once)):
                for code, wrong in results:
                    codes[code] = codes.get(code, 0) + 1
                    if wrong:
                        failures.append(wrong)
        return len(calls), codes, failures


def kill_everywhere(**more):
    """R2: the process dies at each call that changes something."""
    return sweep("signal=KILL", CHANGES, {-9, 137}, **more)


def no_space_everywhere(**more):
    """R7: each call that needs space finds none."""
    return sweep("error=ENOSPC", ("mkdir", "openat", "write"), {5}, **more)


def input_output_errors(**more):
    """R8: each write and sync fails. What comes after the new checkpoint is
    durable, the removal of old ones, may."""
    return sweep("error=EIO", ("write", "fsync"), {0, 4, 5}, **more)


def interrupted_calls(**more):
    """R8: a signal interrupts each write and sync; nobody may notice."""
    return sweep("error=EINTR", ("write", "fsync"), {0}, **more)
