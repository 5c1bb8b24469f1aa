"""When stderr is coloured: the option decides, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal.

And the status line, which comes also where nothing follows the first word of it.
"""

import subprocess
import sys
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.conftest import Hermes, child_environment, hermes_command

FAILING = ("ask", "-m", "demmo", "Hi")
RED = "\x1b[1;31merror: \x1b[0m"


@pytest.mark.parametrize(
    ("options", "environment", "colored"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "0"}, False),
        ((), {"FORCE_COLOR": ""}, False),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--color", "auto"), {}, False),
    ],
)
def test_colours_in_a_pipe(
    hermes: Hermes, options: tuple[str, ...], environment: dict[str, str], colored: bool
) -> None:
    result = hermes(*FAILING, *options, env=environment)
    assert (RED in result.err, "\x1b" in result.err) == (colored, colored)
    assert "error: " in result.err or colored


@pytest.mark.parametrize(
    ("options", "environment", "colored"),
    [
        ((), {"TERM": "xterm"}, True),
        ((), {"TERM": "dumb"}, False),
        ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (("--color", "never"), {"TERM": "xterm"}, False),
    ],
)
def test_colours_on_a_terminal(
    options: tuple[str, ...], environment: dict[str, str], colored: bool, tmp_path: Path
) -> None:
    command, *rest = hermes_command(*FAILING, *options)
    child = pexpect.spawn(
        command, rest, env=child_environment(environment), cwd=str(tmp_path), encoding="utf-8", timeout=60
    )
    shown = child.read()
    child.close()
    assert child.exitstatus == 3
    assert "there is no local model demmo" in shown
    assert (RED in shown, "\x1b" in shown) == (colored, colored)


SAYING = """
from hermes_cli.errors import UsageError; from hermes_cli.terminal import console
console.error(UsageError("what was asked for is not there at all", "look at it: hermes config set model /a/long/path"))
console.notice("a path /that/is/longer/than/the/window/of/forty/columns.gguf stays whole")
"""


def test_a_line_is_broken_between_words_on_a_terminal_and_still_one_line_to_copy() -> None:
    environment = child_environment({"CI": None, "TERM": "xterm", "NO_COLOR": "1"})
    command = [sys.executable, "-c", SAYING]
    child: pexpect.spawn[bytes] = pexpect.spawn(
        command[0], command[1:], env=environment, timeout=60, dimensions=(20, 40)
    )
    data = child.read()
    child.close()
    screen = pyte.Screen(40, 20)
    pyte.ByteStream(screen).feed(data)
    assert [line.rstrip() for line in screen.display if line.strip()] == [
        "error: what was asked for is not there",
        "at all",
        "hint: look at it: hermes config set",
        "model /a/long/path",
        "a path",
        "/that/is/longer/than/the/window/of/forty",
        "/columns.gguf",
        "stays whole",
    ]
    piped = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert [" ".join(line.split()) for line in data.decode().splitlines()] == piped.splitlines()


STATUS = """
import time; from hermes_cli.terminal.console import StatusLine, put, without_status; line = StatusLine()
def until_shown():
    while not line._shown: time.sleep(0.01)
line.show("too soon"); line.erase(); line.show("first"); line.show("reading " + "x" * 200); until_shown()
line.erase(); line.show("running")
with without_status():
    put("a question"); time.sleep(0.7); put("\\n")
until_shown(); line.erase(); line.show("too late"); line.erase(); time.sleep(0.7); put("done")
"""


def test_status_line_appears_by_itself_and_is_erased_at_the_end_and_for_a_question() -> None:
    environment = child_environment({"CI": None, "TERM": "xterm"})
    child = pexpect.spawn(sys.executable, ["-c", STATUS], env=environment, encoding="utf-8", timeout=60)
    shown = child.read()
    child.close()
    lines = [f"\r\x1b[2K\x1b[?7l\x1b[2m{text}\x1b[0m\x1b[?7h\r\x1b[2K" for text in (f"reading {'x' * 200}", "running")]
    assert shown == f"{lines[0]}a question\r\n{lines[1]}done"
