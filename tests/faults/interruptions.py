# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed, or asked to stop, at random instants.

A run is started again and again until it is done; whatever met it on the way,
it must end with the bytes of a run that nothing met.
"""

import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import support

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# A stop may have to finish the step at hand and write one checkpoint.
STOP_SECONDS = 20.0


@dataclass
class Tally:
    """What was done to the runs, and what went wrong."""
    sent: int = 0
    while_starting: int = 0  # before the run folder was claimed
    inside_commits: int = 0  # a half-written checkpoint was on disk
    twice: int = 0
    exit_codes: dict = field(default_factory=dict)
    longest_stop: float = 0.0
    runs_finished: int = 0
    failures: list = field(default_factory=list)

    def add(self, other):
        for name in ("sent", "while_starting", "inside_commits", "twice",
                     "runs_finished"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for code, count in other.exit_codes.items():
            self.exit_codes[code] = self.exit_codes.get(code, 0) + count
        self.longest_stop = max(self.longest_stop, other.longest_stop)
        self.failures += other.failures


def is_newer(before, after):
    return all(after.get(block, 0) >= step for block, step in before.items())


class Campaign:
    """One run folder at a time, interrupted until `count` signals were sent."""

    def __init__(self, data, folder, reference, seed):
        self.data = data
        self.folder = folder
        self.reference = reference
        self.chance = random.Random(seed)
        self.seconds = 1.0  # of an uninterrupted start; learnt on the way
        self.tally = Tally()
        self.number = 0
        self.out = None
        self.new_run()

    def new_run(self):
        self.out = self.folder / f"run {self.number}"
        self.number += 1

    def start(self):
        errors = open(self.folder / "stderr", "w+", encoding="utf-8")
        process = subprocess.Popen(
            support.train_command(self.data, self.out),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=errors, start_new_session=True)
        return process, errors

    def wait_for_moment(self, process):
        """Half of the time anywhere in the run, else while a commit writes."""
        if self.chance.random() < 0.5:
            self.wait(process, self.chance.uniform(0, 1.2 * self.seconds))
            return
        commits = self.chance.randrange(1, 8)
        previous = set()
        while process.poll() is None and commits > 0:
            found = {str(path) for path in support.partial_commits(self.out)}
            commits -= len(found - previous) > 0
            previous = found
            time.sleep(0.0005)
        self.wait(process, self.chance.uniform(0, 0.01))

    @staticmethod
    def wait(process, seconds):
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass

    def fail(self, what, errors):
        errors.seek(0)
        self.tally.failures.append(
            f"signal {self.tally.sent}: {what}: {errors.read()[-600:]}")

    def check_restart(self, errors):
        """Nothing may have been passed over, and no error met."""
        errors.seek(0)
        text = errors.read()
        for word in ("rejected", "passed over", "error"):
            if word in text:
                self.fail(f"a restart says '{word}'", errors)

    def finish_if_done(self, process, errors):
        """Whether the run ended by itself; then it must be the reference."""
        if process.poll() != 0:
            return False
        self.tally.runs_finished += 1
        if support.digest(self.out) != self.reference:
            self.fail("the finished run differs from the reference", errors)
        self.new_run()
        return True

    def kill_once(self):
        before = support.steps(self.out)
        process, errors = self.start()
        with errors:
            self.wait_for_moment(process)
            if process.poll() is None:
                process.kill()
                process.wait()
                self.tally.sent += 1
                self.tally.while_starting += not self.out.exists()
                self.tally.inside_commits += bool(
                    support.partial_commits(self.out))
                if not is_newer(before, support.steps(self.out)):
                    self.fail("a kill set the run back", errors)
            elif process.returncode != 0:
                self.fail(f"ended with {process.returncode}", errors)
            self.check_restart(errors)
            self.finish_if_done(process, errors)

    def stop_once(self):
        process, errors = self.start()
        with errors:
            self.wait_for_moment(process)
            if process.poll() is None:
                self.send_stops(process, errors)
            self.check_restart(errors)
            self.finish_if_done(process, errors)

    def send_stops(self, process, errors):
        was_ready = support.catches(process.pid, STOPS)
        number = self.chance.choice(STOPS)
        start = time.monotonic()
        process.send_signal(number)
        self.tally.sent += 1
        if self.chance.random() < 0.3:
            self.wait(process, self.chance.uniform(0, 0.05))
            process.send_signal(self.chance.choice(STOPS))
            self.tally.twice += 1
        try:
            code = process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
            self.fail(f"did not stop within {STOP_SECONDS} s", errors)
        self.tally.longest_stop = max(self.tally.longest_stop,
                                      time.monotonic() - start)
        self.tally.exit_codes[code] = self.tally.exit_codes.get(code, 0) + 1
        # 0: the run was done already. Until the program's first line the system
        # ends the process, with the signal's own number.
        allowed = {75, 0} if was_ready else {75, 0, *(-s for s in STOPS)}
        if code not in allowed:
            self.fail(f"ended with {code}", errors)

    def finish(self):
        """Takes the last run to its end, undisturbed."""
        process, errors = self.start()
        with errors:
            process.wait()
            self.check_restart(errors)
            if not self.finish_if_done(process, errors):
                self.fail(f"ended with {process.returncode}", errors)

    def go(self, act, count):
        start = time.monotonic()
        self.finish()  # undisturbed: tells how long a run takes
        self.seconds = time.monotonic() - start
        while self.tally.sent < count and len(self.tally.failures) < 5:
            act(self)
        self.finish()
        return self.tally


def interrupt(act, count, at_once=2, seed=1):
    """Sends `count` signals in all, to `at_once` runs at a time."""
    with support.scratch() as folder:
        data = folder / "data"
        support.write_data(data)
        whole = folder / "whole"
        done = support.run(support.train_command(data, whole))
        if done.returncode != 0:
            return Tally(failures=[done.stderr])
        reference = support.digest(whole)
        campaigns = []
        for i in range(at_once):
            own = folder / str(i)
            own.mkdir()
            campaigns.append(Campaign(data, own, reference, seed + i))
        total = Tally()
        share = -(-count // at_once)
        with ThreadPoolExecutor(at_once) as pool:
            for tally in pool.map(lambda c: c.go(act, share), campaigns):
                total.add(tally)
        return total


def kills(count, **more):
    """kill -9, inside commits too."""
    return interrupt(Campaign.kill_once, count, **more)


def stops(count, **more):
    """SIGTERM, SIGINT and SIGUSR1, some of them twice."""
    return interrupt(Campaign.stop_once, count, **more)
