"""Lists on narrow terminals: no row is wider than the terminal, no word is split, pipes get every column."""

from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal.columns import cells
from tests.cli.conftest import OnScreen
from tests.conftest import Hermes, child_environment, hermes_command
from tests.saved import FINISHED, folders_in, turn

MODEL = "Hermes-3-Llama-3.1-8B-Q4"
TITLE = "What is the difference between a llama and an alpaca?"


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[Path]:
    """The file of a session with a model whose name has 24 characters."""
    with folders_in(tmp_path):
        transcript = Transcript.new(SessionSettings(MODEL), None)
        transcript.append_turn(turn(1, TITLE), None, model=MODEL, finished=FINISHED)
        transcript.close()
        yield transcript.path


def shown(columns: int, *args: str) -> list[str]:
    """The rows on a terminal of that width."""
    command, *rest = hermes_command(*args)
    environment = child_environment({"TERM": "xterm", "CI": None, "COLUMNS": None, "NO_COLOR": "1"})
    child = pexpect.spawn(command, rest, env=environment, encoding="utf-8", timeout=60, dimensions=(60, columns))
    text = child.read()
    child.close()
    assert child.exitstatus == 0, text
    return [row.rstrip() for row in text.splitlines()]


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize(
    "command", ["sessions", "presets", "tools", "config", "models list --all"], ids=lambda command: command.split()[0]
)
def test_no_row_is_wider_than_the_window(command: str, columns: int) -> None:
    rows = shown(columns, *command.split())
    assert len(rows) > 1
    assert [row for row in rows if cells(row) > columns] == []


def test_session_list_drops_columns_that_do_not_fit(session: Path, hermes: Hermes) -> None:
    head, row = shown(80, "sessions")
    assert head.split() == ["id", "used", "turns", "size", "title"]
    assert row.startswith(session.stem) and row.endswith("…") and "What is the differ" in row
    head, row = shown(40, "sessions")
    assert (head.split(), row) == (["id", "title"], f"{session.stem}  What is the diffe…")
    assert MODEL in shown(130, "sessions")[1]
    assert hermes("sessions").out.decode().rstrip("\n").split("\t")[4:] == [MODEL, TITLE]


def test_descriptions_continue_below_themselves(hermes: Hermes) -> None:
    rows = shown(80, "presets")
    place = next(row.index("bundled") for row in rows if "bundled" in row) + len("bundled  ")
    assert any(row.startswith(" " * place) and row.endswith("without -p") for row in rows)
    assert b"as the model card suggests; the same as without -p\n" in hermes("presets").out


def test_lists_in_a_chat_fit_too(session: Path, on_screen: OnScreen) -> None:
    screen = on_screen("chat", "-m", "demo", size=(60, 40))
    screen.say("/sessions")
    screen.shows(f"{session.stem}  What is the diffe…")
    screen.say("/help continue")
    screen.shows("/continue  Continue an")
    screen.say("/show")
    screen.shows("\n" + " " * 16)
    screen.prompt()
    screen.type("/exit\r")
    assert screen.ended() == 0


def test_facts_are_broken_between_words(hermes: Hermes, on_screen: OnScreen) -> None:
    words = [word for word in hermes("doctor", "--builds").out.decode().split() if 12 < len(word) < 80]
    screen = on_screen("doctor", "--builds", size=(60, 80))
    assert screen.ended() == 0
    assert [word for word in words if not any(word in line for line in screen.lines)] == []
