"""A model cannot control the terminal, and its text reaches a pipe unchanged."""

import json
from pathlib import Path

from hermes_cli.terminal.sanitize import for_terminal
from tests.cli.conftest import HOSTILE, OnTerminal, exit_code
from tests.conftest import Hermes

ASK = ("--seed", "1", "-n", "40", "Tell me something.")


def test_in_a_pipe_the_codes_arrive_as_they_are(hermes: Hermes, hostile_path: Path) -> None:
    result = hermes("ask", "-m", hostile_path, *ASK)
    assert HOSTILE in result.out.decode()
    report = hermes("ask", "-m", hostile_path, "--json", *ASK).out
    assert report.isascii() and b"\x1b" not in report
    assert json.loads(report)["answer"] == result.out.decode().removesuffix("\n")


def test_on_a_terminal_they_are_only_shown(hermes: Hermes, on_terminal: OnTerminal, hostile_path: Path) -> None:
    child = on_terminal("ask", "-m", hostile_path, *ASK, CI="1", NO_COLOR="1")
    child.setecho(False)
    assert exit_code(child) == 0
    seen = str(child.before).replace("\r\n", "\n")
    assert for_terminal(seen) == seen
    assert "␛[31m␛[2J\ufffd5n" in seen


def test_escape_codes_in_a_model_name_are_made_visible(on_terminal: OnTerminal, hostile_path: Path) -> None:
    child = on_terminal("chat", "-v", "-n", "1", "-m", hostile_path, CI="1", NO_COLOR="1")
    child.expect_exact("\n> ")
    child.sendline("Hi")
    child.expect_exact("loaded in")
    assert "evil␛[31m␛[2J\ufffd5n" in str(child.before)
    assert not any(code in str(child.before) for code in ("\x1b[31m", "\x1b[2J", "\x9b", "\u202e"))
    child.expect_exact("\n> ")
    child.sendeof()
    assert exit_code(child) == 0
