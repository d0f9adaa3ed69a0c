# SPDX-License-Identifier: Apache-2.0
"""Progress on a terminal: what a user sees on the screen.

A pseudo terminal takes what the program writes, and a small terminal emulator
makes a screen of it.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import unittest

from program_test import PROGRAM, RECIPE, SMALL, Program


class Screen:
    """The text on a terminal that knows \\r, \\n, CSI A, CSI J and CSI K."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0
        self.pending = ""

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        for token in re.findall(r"\x1b\[[0-9]*[A-Za-z]|\x1b(?:\[[0-9]*)?$|.",
                                text, re.S):
            if token.startswith("\x1b") and not token[-1].isalpha():
                self.pending = token
            elif token.startswith("\x1b"):
                self.control(token[-1], int(token[2:-1] or 0))
            elif token == "\r":
                self.column = 0
            elif token == "\n":
                self.next_row()
            else:
                self.put(token)

    def next_row(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def put(self, letter):
        if self.column == self.columns:
            self.column = 0
            self.next_row()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = (line[:self.column] + letter +
                                line[self.column + 1:])
        self.column += 1

    def control(self, name, count):
        if name == "A":
            # Rows above the screen cannot be reached.
            top = max(0, len(self.lines) - self.rows)
            self.row = max(top, self.row - count)
        elif name == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif name == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif name != "m":  # colours take no room
            raise AssertionError(f"unknown control {name}")

    def resize(self, columns):
        """As terminals do that break lines anew."""
        lines = []
        for i, line in enumerate(self.lines):
            pieces = [line[j:j + columns] for j in
                      range(0, len(line), columns)] or [""]
            if i == self.row:
                row = len(lines) + min(self.column // columns,
                                       len(pieces) - 1)
                column = self.column - (row - len(lines)) * columns
            lines += pieces
        self.lines, self.row, self.column = lines, row, column
        self.columns = columns

    def text(self):
        return [line.rstrip() for line in self.lines]


class Terminal(Program):
    def show(self, *arguments, columns=100, rows=24, on_text=None):
        """Runs the program on a terminal; returns its screen and exit code."""
        ours, theirs = pty.openpty()

        def set_size(new_columns):
            fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                        struct.pack("HHHH", rows, new_columns, 0, 0))

        def is_ready(seconds):
            return bool(select.select([ours], [], [], seconds)[0])

        def resize(new_columns):
            # Nothing may be under way while the window changes.
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED |
                      os.WNOWAIT)
            while is_ready(0):
                screen.feed(os.read(ours, 65536).decode())
            set_size(new_columns)
            screen.resize(new_columns)
            process.send_signal(signal.SIGCONT)

        set_size(columns)
        screen = Screen(columns, rows)
        process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)], stdin=theirs, stderr=theirs,
            stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
        while True:
            if is_ready(0.2):
                screen.feed(os.read(ours, 65536).decode())
                if on_text:
                    on_text(process, screen, resize)
            elif process.poll() is not None:
                break
        os.close(theirs)
        os.close(ours)
        return screen.text(), process.wait()

    def train(self, *more, **how):
        self.out = self.folder / "run"
        return self.show("train", RECIPE, "--out", self.out, *SMALL, *more,
                         **how)

    def assert_final_screen(self, lines, width=None):
        """One line per block with the log's last numbers, one for the whole."""
        self.assertEqual(len(lines), 5, lines)
        for block in range(3):
            line = lines[block]
            log = self.out / "blocks" / str(block) / "log.jsonl"
            last = json.loads(log.read_text().splitlines()[-1])
            self.assertRegex(line, rf"^block {block}  done ")
            self.assertIn(f"loss {last['loss']:.4f}", line)
            if width is None:
                self.assertIn(" 40/40 ", line)
                self.assertIn(f"accuracy {100 * last['accuracy']:5.1f} %", line)
        self.assertRegex(lines[3], r"^120/120 steps \| \d+ images/s \| ")
        self.assertEqual(lines[4], "")

    def test_the_screen_ends_with_one_line_per_block_and_the_logs_numbers(self):
        seen = set()

        def look(_process, screen, _resize):
            for line in screen.text():
                found = re.match(r"block \d +(\w+)", line)
                if found:
                    seen.add(found.group(1))

        lines, code = self.train(on_text=look)
        self.assertEqual(code, 0)
        self.assert_final_screen(lines)
        self.assertLessEqual({"waiting", "training", "done"}, seen)

    def test_a_window_made_narrower_and_wider_keeps_the_screen_clean(self):
        widths = [60, 34, 50, 120, 40]
        resizes = []

        def change(_process, screen, resize):
            steps = re.search(r"(\d+)/600 steps", "\n".join(screen.text()))
            if widths and steps and int(steps.group(1)) > 10 * len(resizes):
                resizes.append(widths.pop(0))
                resize(resizes[-1])

        lines, code = self.train("--set", "train.steps=200", on_text=change)
        self.assertEqual(code, 0)
        self.assertGreaterEqual(len(resizes), 3)
        self.assertTrue(all(len(line) < resizes[-1] for line in lines), lines)
        self.assertEqual([line[:13] for line in lines[:3]],
                         [f"block {b}  done" for b in range(3)], lines)
        self.assertEqual(len(lines), 5, lines)

    def test_a_narrow_terminal_keeps_the_loss(self):
        lines, code = self.train(columns=38)
        self.assertEqual(code, 0)
        self.assertTrue(all(len(line) < 38 for line in lines), lines)
        for block in range(3):
            self.assertRegex(lines[block], r"^block \d  done +loss \d\.\d{4}$")

    def test_warnings_stay_above_the_board_and_errors_below_it(self):
        def damage(process, screen, _resize):
            if not self.damaged and "training" in "\n".join(screen.text()):
                self.damaged = True
                process.send_signal(signal.SIGTERM)

        self.damaged = False
        _, code = self.train("--set", "train.steps=4000", on_text=damage)
        self.assertEqual(code, 75)
        # The newest checkpoint no longer verifies: a warning while it resumes.
        newest = sorted((self.out / "blocks/0/checkpoints").iterdir())[-1]
        (newest / "weights.safetensors").write_bytes(b"")
        self.damaged = False
        lines, code = self.train("--set", "train.steps=4000", on_text=damage)
        self.assertEqual(code, 75)
        text = "\n".join(lines)
        self.assertIn("warning", text)
        self.assertLess(text.rindex("warning"), text.index("block 0  "))
        self.assertEqual(len(re.findall(r"^block \d  ", text, re.M)), 3, text)

    def test_an_error_leaves_the_board_and_a_line_of_its_own(self):
        lines, code = self.train("--set", "optim.learning_rate=1e30",
                                 "--set", "optim.warmup_steps=0")
        self.assertEqual(code, 2)
        self.assertTrue(any(line.startswith("dblocks: error: [train]")
                            for line in lines), lines)
        self.assertEqual(len([line for line in lines
                              if line.startswith("block ")]), 3, lines)

    def test_resumed_blocks_show_the_loss_they_ended_with(self):
        self.train("--block", "0")
        lines, code = self.train()
        self.assertEqual(code, 0)
        self.assert_final_screen(lines)


if __name__ == "__main__":
    unittest.main()
