"""The same in a real terminal (tmux), which wraps rows again when its size changes and keeps the scrollback."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import child_environment

SCRIPT = """
import json, sys
from hermes_cli.terminal.answer.output import standard_output
from hermes_cli.terminal.signal_handlers import on_continue
output = standard_output()
with on_continue(output.resumed):
    for line in open(sys.argv[1]):
        output.write(json.loads(line))
    output.finish()
print("-- done")
"""
WORDS = [f"word{number}" for number in range(60)]


class Tmux:
    """A window of tmux in which an answer is shown; what is written to `pipe`, a JSON string a line, is its text."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._socket = folder / "tmux"
        fifo = folder / "answer"
        os.mkfifo(fifo)
        script = folder / "show.py"
        script.write_text(SCRIPT)
        shell = ["bash", "--norc", "--noprofile", "-i"]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), *shell)
        self.type(shlex.join([sys.executable, str(script), str(fifo)]), "Enter")
        self.pipe = os.fdopen(self._reader_of(fifo), "w")

    @staticmethod
    def _reader_of(fifo: Path) -> int:
        """Open the pipe once the script has it open too."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def tmux(self, *args: str) -> str:
        environment = child_environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "CI": None, "TMUX": None})
        command = ["tmux", "-u", "-S", str(self._socket), *args]
        return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=20).stdout.decode()

    def shown(self, until: str) -> list[str]:
        """The lines of history and window once `until` is among them; wrapped lines in one."""
        deadline = time.monotonic() + 30
        while until not in (text := self.tmux("capture-pane", "-p", "-J", "-S", "-")):
            assert time.monotonic() < deadline, text
            time.sleep(0.02)
        return [line.rstrip() for line in text.rstrip().splitlines()]

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def say(self, text: str) -> None:
        self.pipe.write(json.dumps(text) + "\n")
        self.pipe.flush()


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    opened = Tmux(tmp_path, 80, 12)
    yield opened
    opened.pipe.close()
    opened.tmux("kill-server")


def test_finished_blocks_are_there_once_when_the_window_gets_narrower_and_wider(window: Tmux) -> None:
    window.say("# First heading\n\n" + " ".join(WORDS[:30]))
    window.shown("word29")
    window.tmux("resize-window", "-x", "47", "-y", "12")
    window.say(" " + " ".join(WORDS[30:]))
    window.shown("word59")
    window.tmux("resize-window", "-x", "90", "-y", "12")
    window.say(" end.\n\n## Second heading\n\n- item\n")
    window.pipe.close()
    lines = window.shown("-- done")
    for once in ("First heading", "Second heading", "• item", "word59 end."):
        assert sum(once in line for line in lines) == 1, lines
    # Of the unfinished paragraph one old copy may be left, where the terminal moved rows before it could be repainted.
    assert all(1 <= sum(line.split().count(word) for line in lines) <= 2 for word in WORDS), lines


def test_tail_taller_than_the_terminal_leaves_no_copies(window: Tmux) -> None:
    for number in range(400):
        window.say(f"👩‍👧 w{number} ")
        time.sleep(0.002)
    window.say("end")
    window.pipe.close()
    lines = window.shown("-- done")
    assert [word for line in lines for word in line.split() if word.startswith("w")] == [f"w{n}" for n in range(400)]


def test_after_ctrl_z_and_fg_the_answer_continues_below_what_the_shell_said(window: Tmux) -> None:
    window.say("# Heading\n\n" + " ".join(WORDS[:30]))
    window.shown("word29")
    window.type("C-z")
    window.shown("Stopped")
    window.type("echo 'the shell', its line", "Enter")
    window.shown("the shell, its line")
    window.type("fg", "Enter")
    window.say(" end.")
    window.pipe.close()
    lines = window.shown("-- done")
    places = [
        next(place for place, line in enumerate(lines) if text in line)
        for text in ("Stopped", "the shell, its", "end.")
    ]
    assert places == sorted(places), lines
    assert [line for line in lines[places[1] :] if line.startswith("word0")], lines
    assert sum("Heading" in line for line in lines) == 1
