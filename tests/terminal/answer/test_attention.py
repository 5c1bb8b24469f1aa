"""The signal that a long answer is complete: what a terminal receives, and that nothing else does."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Script
from tests.terminal.prompt.prompts import on_terminal

PROGRAM = """
import sys
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal.answer.appearance import Appearance, use_appearance
from hermes_cli.terminal.answer.attention import LONG_S, call_back

use_appearance(Appearance(notify=load_settings().notify))
call_back(LONG_S - 1, "a short answer")
call_back(LONG_S, "First;\\n\\x1b]0;title\\x07 " + "x" * 100)
print("end", file=sys.stderr)
"""
WORDS = "First, ␛]0,title␇ " + "x" * 42


@pytest.mark.parametrize(
    ("notify", "signal"),
    [
        ("off", ""),
        ("bell", "\a"),
        ("desktop", f"\x1b]9;hermes: {WORDS}\a\x1b]777;notify;hermes;{WORDS}\a"),
    ],
)
def test_only_a_long_answer_is_signalled_as_the_setting_says(notify: str, signal: str, tmp_path: Path) -> None:
    with on_terminal(tmp_path, sys.executable, "-c", PROGRAM, HERMES_CLI_NOTIFY=notify) as terminal:
        assert terminal.exit_code() == 0
    assert terminal.raw == f"{signal}end\r\n"


def test_a_pipe_receives_no_signal(script: Script) -> None:
    assert script(PROGRAM, env={"HERMES_CLI_NOTIFY": "desktop"}).err == "end\n"
