"""The prompt in programs of their own, on real pseudo-terminals: what the screen shows, signals, stops, and the end."""

import os
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import child_environment
from tests.terminal.prompt.prompts import COLUMNS, PROGRAM, ROWS, WATCHDOG_S, Terminal, on_terminal

LINES = "".join(f"line {number}\r\n" for number in range(47))
PLACEHOLDER = "> Send a message (/help)"
COMPLETING = """
from hermes_cli.terminal.prompt.prompt_input import Suggestion
from hermes_cli.terminal.prompt.open import open_prompt
names = ["/help", "/preset", "/preview"]
complete = lambda text: [Suggestion(name, len(text), "a note \\x1b[31m") for name in names if name.startswith(text)]
status = lambda: [("bold", "evil \\x1b[31m"), ("", " and long" * 30)]
print(open_prompt(complete=complete, status=status, history_file=None).read())
"""
LAST_WORDS = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "False":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from hermes_cli.terminal.prompt.open import open_prompt
sys.exit(7 if open_prompt(complete=lambda text: [], status=lambda: "", history_file=None).read() is None else 8)
"""


def modes(terminal: Terminal) -> tuple[bool, bool]:
    """Whether the terminal echoes, and whether it makes lines."""
    flags = termios.tcgetattr(terminal.child.child_fd)[3]
    return bool(flags & termios.ECHO), bool(flags & termios.ICANON)


def test_screen_keeps_the_message_as_typed(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        assert terminal.shows("the status") == [PLACEHOLDER, "the status"]
        terminal.send("see\n\x1b[200~" + LINES + "\x1b[201~")
        terminal.shows("  [pasted 47 lines, 366 B]")
        terminal.send("\r")
        shown = terminal.ends_with(">", "the status")
        assert shown == ["> see", "  [pasted 47 lines, 366 B]", "<370>", ">", "the status"]
        terminal.send("\x04")
        assert terminal.exit_code() == 0
        assert terminal.lines()[-1] == "end of input"


def test_completion_and_a_status_that_would_act(tmp_path: Path) -> None:
    with on_terminal(tmp_path, program=COMPLETING) as terminal:
        lines = terminal.shows("evil")
        assert lines[1].startswith("evil ␛[31m and long") and lines[1].endswith("…") and len(lines[1]) == COLUMNS
        terminal.send("/pr")
        terminal.shows("/preset   a note ␛[31m", "/preview  a note ␛[31m")
        terminal.send("\t")
        terminal.until(lambda lines: lines[0] == "> /preset")
        terminal.send("\t")
        terminal.until(lambda lines: lines[0] == "> /preview")
        terminal.send("\r")
        assert terminal.exit_code() == 0
        assert terminal.lines() == ["> /preview", "/preview"]


def test_ctrl_c_on_an_empty_line_says_how_to_leave(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.shows("the status")
        terminal.send("\x03")
        assert terminal.shows("Ctrl-D exits") == [PLACEHOLDER, "Ctrl-D exits"]
        terminal.send("x")
        terminal.shows("> x", "the status")


def test_terminal_of_any_size(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.shows("the status")
        for rows, columns in ((ROWS, 1), (1, COLUMNS), (1, 1), (2, 3), (ROWS, COLUMNS)):
            terminal.resize(rows, columns)
            terminal.send("wörd 漢字 ")
        terminal.until(lambda lines: any("漢字" in line for line in lines) and "the status" in lines)
        terminal.send("\r")
        terminal.shows(f"<{'wörd 漢字 ' * 5}>")


def test_huge_paste_without_bracketed_paste_marks_is_accepted(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.shows("the status")
        terminal.send("y" * 100_000)
        terminal.shows("[pasted 1 line, 100.0 kB]")
        terminal.send("\r")
        terminal.shows("<100000>")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_the_prompt_and_restore_the_terminal(number: int, code: int, tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.shows("the status")
        assert modes(terminal) == (False, False)
        terminal.send("half")
        terminal.shows("> half")
        terminal.child.kill(number)
        assert terminal.exit_code() == code
        assert terminal.lines() == ["> half"]


def test_a_failure_of_the_model_ends_the_prompt(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.shows("the status")
        terminal.send("fail soon\r")
        assert terminal.exit_code() == 1
        assert terminal.lines() == ["> fail soon", "<fail soon>", "it failed"]


@pytest.mark.parametrize(("heeded", "code"), [(True, 129), (False, 7)])
def test_a_closed_terminal_ends_the_program(heeded: bool, code: int, tmp_path: Path) -> None:
    """By the signal, or where that is ignored by the end of the input. No one is left to read a traceback."""
    master, slave = os.openpty()
    with (tmp_path / "err").open("wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-c", LAST_WORDS, str(heeded)],
            env=child_environment({"TERM": "xterm", "CI": None}),
            stdin=slave,
            stdout=slave,
            stderr=err,
            start_new_session=True,
        )
    os.close(slave)
    drawn = b""
    while b"/help" not in drawn:
        drawn += os.read(master, 1 << 16)
    os.write(master, b"half a message")
    os.close(master)
    assert child.wait(WATCHDOG_S) == code
    assert (tmp_path / "err").read_text() == ""


def test_answers_in_a_file_leave_the_prompt_on_the_terminal(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "bash", "-c", '"$@" > out', "bash", sys.executable, "-c", PROGRAM) as terminal:
        terminal.shows(PLACEHOLDER)
        terminal.send("hello\r")
        terminal.until(lambda lines: lines[0] == "> hello" and lines[-1] == "the status")
        terminal.send("\x04")
        assert terminal.exit_code() == 0
    assert (tmp_path / "out").read_text() == "<hello>\nend of input\n"


def test_without_colour(tmp_path: Path) -> None:
    with on_terminal(tmp_path, program=COMPLETING, NO_COLOR="1") as terminal:
        terminal.send("/")
        terminal.child.expect_exact("/preview")
        drawn = terminal.child.before or ""
        colours = [code for codes in re.findall(r"\x1b\[([\d;]*)m", drawn) for code in codes.split(";")]
        assert set(colours) <= {"", "0", "1", "2", "7"}


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    with on_terminal(tmp_path, TERM="dumb") as terminal:
        for keys, message in (("a\\\rb\r", "a"), ('"""\rx\r"""\r', "x"), ("\x1b[31m\r", "␛[31m")):
            terminal.send(keys)
            terminal.shows(f"<{message}")
        terminal.send("\x03")
        terminal.shows("Ctrl-D exits")
        terminal.send("\x04")
        assert terminal.exit_code() == 0
