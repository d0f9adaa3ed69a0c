# SPDX-License-Identifier: Apache-2.0
"""Completion, asked for in real interactive shells on a pseudo-terminal.

A test types the start of a line, presses the tab key, puts a word in front of
the line that makes the shell print it, and reads what it has become.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

from documents import ROOT, run

START_OF_LINE, KILL_LINE = "\x01", "\x15"


class Shell:
    """An interactive shell that answers when it is asked for a mark."""

    def __init__(self, command, folder, setup):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command,
                       {"PATH": os.environ["PATH"], "TERM": "dumb",
                        "HOME": str(folder), "LC_ALL": "C.UTF-8",
                        "COLUMNS": "200", "PS1": "> "})
        self.count = 0
        for line in setup:
            self.send(line + "\n")
        self.send("echo rea''dy\n")
        self.wait_for("ready\r?\n")

    def send(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern, seconds=120):
        seen, end = "", time.monotonic() + seconds
        while not (found := re.search(pattern, seen)):
            if time.monotonic() > end:
                raise TimeoutError(f"{pattern} not in {seen!r}")
            if select.select([self.terminal], [], [], 0.2)[0]:
                seen += os.read(self.terminal, 65536).decode(errors="replace")
        return found

    def completed(self, line):
        """What `line` has become after one tab."""
        self.count += 1
        self.send(line + "\t")
        self.send(f"{START_OF_LINE}printf '<%s>' k{self.count} ")
        self.send("\n")
        words = self.wait_for(f"<k{self.count}>((?:<[^>]*>)*)").group(1)
        return " ".join(re.findall("<([^>]*)>", words))

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Completes:
    """What both shells do; the classes below say which shell."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        folder = pathlib.Path(holder.name)
        (folder / "recipes").mkdir()
        (folder / "recipes" / "one.toml").touch()
        (folder / "recipes" / "two.txt").touch()
        (folder / "runs" / "first").mkdir(parents=True)
        (folder / "runs" / "first" / "resolved.toml").touch()
        script = folder / "script"
        made = run("completion", cls.NAME)
        assert made.returncode == 0, made.stderr
        script.write_text(made.stdout, encoding="utf-8")
        cls.shell = Shell(cls.COMMAND, folder, cls.SETUP)
        cls.addClassCleanup(cls.shell.close)

    def check(self, line, expected):
        self.assertEqual(self.shell.completed(line), expected)

    def test_verbs(self):
        self.check("dblocks ins", "dblocks inspect")
        self.check("dblocks write-d", "dblocks write-d")  # not for users

    def test_flags_of_the_verb(self):
        self.check("dblocks train --bl", "dblocks train --block")
        self.check("dblocks config --expl", "dblocks config --explain")
        self.check("dblocks eval --bl", "dblocks eval --bl")

    def test_words_that_a_flag_takes(self):
        self.check("dblocks eval runs/first --device cp",
                   "dblocks eval runs/first --device cpu")
        self.check("dblocks completion z", "dblocks completion zsh")

    def test_recipes_and_runs(self):
        self.check("dblocks train recipes/", "dblocks train recipes/one.toml")
        self.check("dblocks eval runs/f", "dblocks eval runs/first")

    def test_a_flag_before_does_not_count_as_the_recipe(self):
        self.check("dblocks train --out x recipes/o",
                   "dblocks train --out x recipes/one.toml")

    def test_keys_after_set(self):
        self.check("dblocks train recipes/one.toml --set train.log_",
                   "dblocks train recipes/one.toml --set "
                   "train.log_every_steps=")

    def test_values_of_a_key(self):
        self.check("dblocks train recipes/one.toml --set method=gree",
                   "dblocks train recipes/one.toml --set method=greedy")
        self.check("dblocks config --set noise.preset=w",
                   "dblocks config --set noise.preset=wide")


class Bash(Completes, unittest.TestCase):
    NAME = "bash"
    COMMAND = ["bash", "--norc", "--noprofile", "-i"]
    SETUP = ["bind 'set enable-bracketed-paste off' 2>/dev/null",
             "source ./script"]

    def test_the_program_is_registered(self):
        script = ROOT / "unused"
        made = run("completion", "bash").stdout
        result = subprocess.run(
            ["bash", "--norc", "-c", f"{made}\ncomplete -p dblocks"],
            capture_output=True, text=True, check=False, cwd=script.parent)
        self.assertEqual(result.stdout.strip(),
                         "complete -F _dblocks dblocks")

    def test_every_key_of_a_recipe_is_offered(self):
        made = run("completion", "bash").stdout
        asked = ("COMP_LINE='dblocks train r.toml --set '\n"
                 "COMP_POINT=${#COMP_LINE}\nCOMP_WORDS=(dblocks train r.toml "
                 "--set '')\nCOMP_CWORD=4\n_dblocks\n"
                 "printf '%s\\n' \"${COMPREPLY[@]}\"")
        result = subprocess.run(["bash", "--norc", "-c", f"{made}\n{asked}"],
                                capture_output=True, text=True, check=True)
        offered = set(result.stdout.split())
        explained = run("config", "--explain").stdout
        keys = re.findall(r"^  ([a-z0-9_.]+) ", explained, re.MULTILINE)
        self.assertGreater(len(keys), 40)
        self.assertEqual(offered, {key + "=" for key in keys})


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(Completes, unittest.TestCase):
    NAME = "zsh"
    COMMAND = ["zsh", "-f", "-i"]
    SETUP = ["unsetopt prompt_cr prompt_sp",
             "unset zle_bracketed_paste; PS1='> '; bindkey -e",
             "autoload -U compinit; compinit -u -D", "source ./script"]


if __name__ == "__main__":
    unittest.main()
