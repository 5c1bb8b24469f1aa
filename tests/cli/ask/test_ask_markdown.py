"""`hermes ask` on a terminal prints rendered Markdown, and what the environment and options change about it."""

import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from hermes_cli.terminal.markdown.writer import render_markdown
from tests.conftest import Hermes, Result, child_environment, hermes_command

CODE_QUESTION = ("ask", "-m", "demo", "-t", "0", "--no-save", "Write some code in Python.")
CODE = "def add(a, b):\n    return a + b\n"
RAW = f"```python\n{CODE}```\n"
FRAMED = f"── python {'─' * 30}\n{CODE}{'─' * 40}\n"
SGR = re.compile(r"\x1b\[[0-9;]*m")
PAINTING = re.compile(r"\x1b\[(?:[0-9;]*m|\?2026[hl]|\?7[hl]|\?25h|2K|1A)|\r(?=\x1b)")
SIZE = (24, 80)


class Screen:
    """A pseudo-terminal for stdout alone; stderr is a pipe of its own."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, SIZE)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, *args: str | Path, **changes: str | None) -> "subprocess.Popen[bytes]":
        environment = child_environment({"TERM": "xterm-256color", "CI": None, **changes})
        self._child = subprocess.Popen(
            hermes_command(*args),
            stdin=subprocess.DEVNULL, stdout=self.slave, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        os.close(self.slave)
        return self._child

    def read(self, at_least: int = 1) -> str:
        """The next bytes sent to the terminal, at least `at_least`."""
        data = b""
        while len(data) < at_least:
            data += os.read(self.master, 65536)
        return data.decode("utf-8", "replace")

    def rest(self) -> str:
        """Everything until the program has ended."""
        data = b""
        try:
            while part := os.read(self.master, 65536):
                data += part
        except OSError:  # the other end is closed
            pass
        return data.decode().replace("\r\n", "\n")

    def run(self, *args: str | Path, **changes: str | None) -> Result:
        """The program to its end; new lines on stdout as the program wrote them."""
        child = self.start(*args, **changes)
        out = self.rest().encode()
        _, err = child.communicate(timeout=60)
        return Result(child.returncode, out, err.decode())

    def close(self) -> None:
        if self._child and self._child.poll() is None:
            self._child.kill()
            self._child.communicate()
        os.close(self.master)


@pytest.fixture
def screen() -> Iterator[Screen]:
    opened = Screen()
    yield opened
    opened.close()


def test_code_comes_in_colours_in_a_frame_with_its_language(screen: Screen) -> None:
    result = screen.run(*CODE_QUESTION)
    assert (result.code, result.err) == (0, "")
    shown = result.out.decode()
    assert shown.startswith("\x1b[?2026h") and shown.endswith("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?2026l")
    display = pyte.Screen(SIZE[1], SIZE[0])
    display.set_mode(pyte.modes.LNM)
    pyte.Stream(display).feed(shown)
    assert "".join(f"{line.rstrip()}\n" for line in display.display if line.strip()) == FRAMED
    assert display.buffer[1][0].fg == "magenta"


@pytest.mark.parametrize(
    ("options", "environment", "colored", "live"),
    [
        ((), {}, True, True),
        ((), {"NO_COLOR": "1"}, False, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True, True),
        ((), {"CI": "1"}, True, False),
        ((), {"TERM": "unknown"}, False, False),
        ((), {"TERM": None}, False, False),
    ],
)
def test_colour_and_movement_on_a_terminal(
    screen: Screen, options: tuple[str, ...], environment: dict[str, str | None], colored: bool, live: bool
) -> None:
    result = screen.run(*CODE_QUESTION, *options, **environment)
    assert (result.code, result.err) == (0, "")
    shown = result.out.decode()
    assert ("\x1b[35mdef\x1b[0m" in shown, "\x1b[?2026h" in shown) == (colored, live)
    if not live:
        assert SGR.sub("", shown) == FRAMED
    if not colored and not live:
        assert shown == FRAMED


def test_the_theme_colours_code(screen: Screen) -> None:
    shown = screen.run(*CODE_QUESTION, HERMES_CLI_THEME="dracula", COLORTERM="truecolor")
    assert (shown.code, shown.err) == (0, "")
    assert "38;2;255;121;198mdef\x1b[0m" in shown.out.decode()  # the pink of keywords in Dracula


def test_the_width_limits_text(screen: Screen) -> None:
    shown = screen.run(*CODE_QUESTION[:-1], "My name is Alice.", HERMES_CLI_WIDTH="20")
    assert (shown.code, shown.err) == (0, "")
    display = pyte.Screen(SIZE[1], SIZE[0])
    display.set_mode(pyte.modes.LNM)
    pyte.Stream(display).feed(shown.out.decode())
    assert [line.rstrip() for line in display.display if line.strip()] == ["Nice to meet you,", "Alice!"]


def test_a_dumb_terminal_gets_the_plain_text(screen: Screen) -> None:
    assert screen.run(*CODE_QUESTION, TERM="dumb").out.decode() == RAW


@pytest.mark.parametrize("options", [("--color", "always"), ()])
def test_a_pipe_gets_the_exact_text(hermes: Hermes, options: tuple[str, ...]) -> None:
    assert hermes(*CODE_QUESTION, *options, env={"FORCE_COLOR": "1", "TERM": "xterm"}).out.decode() == RAW


@pytest.mark.parametrize("form", ["--json", "-x", "--dry-run"])
def test_other_forms_are_not_rendered(screen: Screen, form: str) -> None:
    shown = screen.run(*CODE_QUESTION, form).out.decode()
    assert "\x1b" not in shown
    assert shown.endswith("\n") and {"--json": '"answer"', "-x": CODE, "--dry-run": "<|im_start|>"}[form] in shown


def test_last_frame_equals_the_whole_render(screen: Screen, hermes: Hermes, endless_path: Path) -> None:
    question = ("ask", "-m", endless_path, "--seed", "3", "-n", "150", "--no-save", "Tell me something.")
    raw = hermes(*question).out.decode()
    result = screen.run(*question)
    assert (result.code, result.err) == (0, "")
    display = pyte.HistoryScreen(SIZE[1], SIZE[0], history=10_000, ratio=0.5)
    printed = pyte.HistoryScreen(SIZE[1], SIZE[0], history=10_000, ratio=0.5)
    for target, text in ((display, result.out.decode()), (printed, render_markdown(raw, SIZE[1], color=True))):
        target.set_mode(pyte.modes.LNM)
        pyte.Stream(target).feed(text)
    assert display.display == printed.display
    assert len(display.history.top) == len(printed.history.top)


def test_stopped_half_way_the_part_stays_and_the_terminal_is_as_before(screen: Screen, endless_path: Path) -> None:
    child = screen.start("ask", "-m", endless_path, "--no-save", "Tell me something.")
    begun = screen.read(200)
    child.send_signal(signal.SIGINT)
    shown = begun + screen.rest()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, b"")
    assert shown.endswith("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?2026l")
    assert PAINTING.sub("", shown).endswith("\n")


def test_windows_that_change_to_one_column_and_stops_break_nothing(screen: Screen, endless_path: Path) -> None:
    child = screen.start("ask", "-m", endless_path, "--no-save", "-n", "1500", "Tell me something.")
    shown = ""
    for size in ((24, 1), (1, 1), (3, 20), (50, 200)):
        shown += screen.read()
        termios.tcsetwinsize(screen.master, size)
        child.send_signal(signal.SIGSTOP)
        child.send_signal(signal.SIGCONT)
    shown += screen.rest()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert shown.endswith("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?2026l")


def test_a_terminal_that_is_gone_is_reported_in_one_line(screen: Screen, endless_path: Path) -> None:
    child = screen.start("ask", "-m", endless_path, "--no-save", "Tell me something.")
    screen.read(200)
    os.close(screen.master)
    screen.master = os.open(os.devnull, os.O_RDONLY)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert [line.split(":")[0] for line in err.decode().splitlines()] == ["error", "hint"]
