# SPDX-License-Identifier: Apache-2.0
"""The program under faults. tools/faults runs the same for longer."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import commits  # noqa: E402
import interruptions  # noqa: E402
import soak  # noqa: E402
import support  # noqa: E402
import surroundings  # noqa: E402


class Kills(unittest.TestCase):
    COUNT = 200

    def test_a_killed_run_goes_on_from_a_complete_checkpoint(self):
        tally = interruptions.kills(self.COUNT)
        self.assertEqual(tally.failures, [])
        self.assertGreaterEqual(tally.sent, self.COUNT)
        # Otherwise the test did not test what it says.
        self.assertGreater(tally.inside_commits, self.COUNT // 10)
        self.assertGreater(tally.runs_finished, 0)


class Stops(unittest.TestCase):
    COUNT = 20

    def test_a_stopped_run_commits_and_exits_with_75(self):
        tally = interruptions.stops(self.COUNT)
        self.assertEqual(tally.failures, [])
        self.assertGreaterEqual(tally.sent, self.COUNT)
        self.assertGreater(tally.exit_codes.get(75, 0), 0)


@unittest.skipUnless(commits.can_trace(), "strace cannot inject faults here")
class Commits(unittest.TestCase):
    EVERY = 24  # of the writes; tools/faults takes them all

    def check(self, sweep, expected_codes, at_least):
        count, codes, failures = sweep(every=self.EVERY)
        self.assertEqual(failures, [])
        self.assertGreaterEqual(count, at_least)
        for code in expected_codes:
            self.assertGreater(codes.get(code, 0), 0, codes)

    def test_a_kill_at_any_call_leaves_the_old_or_the_new(self):
        self.check(commits.kill_everywhere, [], at_least=15)

    def test_a_full_disk_at_any_call_exits_with_5(self):
        self.check(commits.no_space_everywhere, [5], at_least=8)

    def test_a_failing_write_or_sync_is_never_reported_as_saved(self):
        self.check(commits.input_output_errors, [4], at_least=10)

    def test_an_interrupted_call_goes_unnoticed(self):
        self.check(commits.interrupted_calls, [0], at_least=10)


class Surroundings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = support.scratch()
        cls.place = surroundings.Place(holder.__enter__())
        cls.addClassCleanup(holder.__exit__, None, None, None)

    def check_limits(self, act, sizes):
        results = [act(size) for size in sizes]
        if None in results:
            self.skipTest("mounting is not permitted")
        for size, (_, wrong) in zip(sizes, results):
            self.assertEqual(wrong, "", size)
        self.assertTrue(any(was_met for was_met, _ in results))

    def test_a_full_disk_is_reported_and_loses_nothing(self):
        self.check_limits(self.place.fill_disk, (32, 128, 200, 300))

    def test_a_limit_on_file_sizes_is_reported_and_loses_nothing(self):
        self.check_limits(self.place.limit_files, (100, 4000, 20000))

    def test_odd_names_are_as_good_as_any(self):
        self.assertEqual(self.place.odd_names(), {})

    def test_times_of_files_mean_nothing(self):
        self.assertEqual(self.place.clock_jumps(), "")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become nobody")
    def test_a_folder_without_permission_is_named(self):
        wrong = self.place.read_only_folder()
        if wrong is None:
            self.skipTest("nobody may not read the program")
        self.assertEqual(wrong, "")

    def test_a_second_process_is_refused(self):
        self.assertEqual(self.place.two_at_once(), "")


class Soak(unittest.TestCase):
    SECONDS = 60

    def test_a_minute_of_training_through_disk_leaves_nothing_behind(self):
        samples, steps, wrong = soak.soak(self.SECONDS)
        self.assertEqual(wrong, [])
        self.assertGreater(steps, 400)  # every block was paged in and out

    def test_what_grows_is_found(self):
        def samples(step):
            return [soak.Sample(1000 + step * i, 9, 4, 7, 5)
                    for i in range(100)]
        self.assertEqual(soak.growth(samples(0), "resident"), 0)
        self.assertGreater(soak.growth(samples(1), "resident"), 40)
        # Two threads that come and go, and one that stays from some time on.
        for leaked, expected in ((0, 0), (1, 1)):
            busy = [soak.Sample(1000, 9, 4 + 2 * (i % 3 > 0)
                                + leaked * (i > 60), 7, 5)
                    for i in range(100)]
            self.assertEqual(soak.growth(busy, "threads"), expected)


if __name__ == "__main__":
    unittest.main()
