"""Lists and long texts in a chat on real terminals: choosing, the pager, the label of a question."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.terminal.columns import cells
from tests.cli.conftest import OnScreen, Screen
from tests.saved import folders_in, kept

CHAT = ("chat", "-m", "demo", "-t", "0")
QUESTION = "(number, or text to filter; Enter: no change):"
CTRL_C = "\x03"


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path) -> Iterator[None]:
    """Two saved sessions, and none of other tests."""
    with folders_in(tmp_path / "home"):
        kept(*(f"What is {number} plus 3?" for number in range(30)), title="Names of people", used=1_700_000_000)
        kept("What is a llama?", used=1_600_000_000)
        yield


def leave(screen: Screen) -> None:
    """Exit the chat from an empty prompt."""
    screen.say("/exit")
    assert screen.ended() == 0


def asks(screen: Screen) -> bool:
    """Whether the question below a list waits for its answer."""
    *_, last = screen.text.split("\n> /")
    words = " ".join(last.split())
    return QUESTION in words and words.partition(QUESTION)[2].removeprefix(" >").lstrip().startswith(
        "Hermes demo model"
    )


@pytest.mark.parametrize("pager", ["own pager", ""], ids=["own", "less"])
def test_a_long_history_goes_through_the_pager_and_a_short_one_does_not(
    on_screen: OnScreen, tmp_path: Path, pager: str
) -> None:
    script = tmp_path / "own pager"
    script.write_text('#!/bin/sh\nread -r line\necho "page 1: $line $1 $LESS"\n')
    script.chmod(0o755)
    screen = on_screen(*CHAT, "--session", "Names of people", PAGER=f"'{script}' -x" if pager else None, LESS=None)
    screen.say("/history 2")
    screen.shows("\n29> What is 28 plus 3?\n\nanswer 29\n\n30> What is 29 plus 3?\n\nanswer 30\n")
    screen.say("/history")
    if pager:
        screen.shows("page 1: 1> What is 0 plus 3? -x FRX")
    else:
        screen.wait(lambda: screen.lines[-1] == ":", "the prompt of less")
        assert "1> What is 0 plus 3?" in screen.text and "20> What" not in screen.text
        screen.type("q")
    screen.prompt()
    assert "20> What" not in screen.text
    leave(screen)


def test_if_the_pager_cannot_start_the_text_is_printed(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT, "--session", "Names of people", PAGER="no-such-pager")
    screen.say("/history")
    screen.shows("1> What is 0 plus 3?")
    leave(screen)


@pytest.mark.parametrize("columns", [100, 34])
def test_a_session_a_preset_a_model_and_a_tool_are_chosen_from_lists(on_screen: OnScreen, columns: int) -> None:
    screen = on_screen(*CHAT, size=(60, columns))
    for command, typed, row, result in (
        ("/load", "people", "Names of people", "continuing "),
        ("/load", "1", "What is a llama?", "continuing "),
        ("/preset", "transl", "17  translate", "preset translate: applies from"),
        ("/model", "", "1 *  demo", ""),
        ("/tools", "calc", "1  calculate", "calculate added: the model may"),
        ("/tools", "1", "1 *  calculate", "calculate removed"),
    ):
        screen.say(command)
        screen.wait(lambda: asks(screen), "the question")
        assert row in screen.text
        screen.type(f"{typed}\r")
        screen.shows(result, 2 if typed == "1" and command == "/load" else 1)
    screen.prompt()
    assert [line for line in screen.lines if cells(line) > columns] == []
    leave(screen)


def test_text_leaves_the_rows_that_contain_it_and_ctrl_c_changes_nothing(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT)
    screen.say("/preset")
    screen.wait(lambda: asks(screen), "the question")
    screen.type("model card\r")
    screen.shows(QUESTION, 2)
    _, whole, rest = screen.text.split("  card  ")
    assert "  coder  " in whole and "  hermes  " in rest and "  coder  " not in rest
    screen.type("nothing-like-it\r")
    screen.shows("nothing contains nothing-like-it")
    screen.type(CTRL_C)
    screen.say("/show")
    screen.shows("preset          none")
    leave(screen)


def test_a_list_longer_than_the_screen_keeps_its_first_rows(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT, size=(12, 80))
    screen.say("/preset")
    screen.wait(lambda: asks(screen), "the question")
    assert "1  assistant" in "\n".join(screen.lines[-12:])
    assert "more; type a part of the name" in screen.text
    screen.type("17\r")
    screen.shows("preset translate: applies from")
    leave(screen)


def test_a_dumb_terminal_has_the_lists_too(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT, TERM="dumb")
    screen.shows("\n>")
    screen.type("/load\n")
    screen.shows(QUESTION)
    screen.type("names\n")
    screen.shows("Names of people", 2)
    screen.shows("… 29 earlier turns: /history")
    screen.type("/preset\n")
    screen.shows(QUESTION, 2)
    screen.type("\n/show\n")
    screen.shows("preset          none")
    screen.type("/exit\n")
    assert screen.ended() == 0


def test_a_part_of_a_title_is_enough_to_load(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT)
    screen.say("/load Names")
    screen.shows("· Names of people")
    screen.say("/load of llamas")
    screen.shows("error: ")
    screen.say("/load a llama")
    screen.shows("· What is a llama?")
    leave(screen)


def test_the_option_of_the_command_line_for_files_is_confirmed(on_screen: OnScreen, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The code of Mira is 7312.")
    screen = on_screen(*CHAT)
    screen.say("-f notes.txt")
    screen.shows("run /attach? Y: yes, n: send it as a message")
    screen.type("\r")
    screen.shows("attached to the next message: notes.txt, ")
    leave(screen)


def test_the_context_fits_a_narrow_terminal(on_screen: OnScreen) -> None:
    screen = on_screen(*CHAT, size=(40, 60))
    for times in (1, 2):
        screen.say("What is 2 plus 3, and what is 4 plus 5?")
        screen.shows(" tok/s · first ", times)
    screen.say("/hide 1")
    screen.say("/context")
    rows = re.compile("^     [12] .*", re.MULTILINE)
    screen.wait(lambda: len(rows.findall(screen.text)) == 2, "the rows")
    first, second = rows.findall(screen.text)
    assert first.endswith("… [left out]") and "█" in second and second.endswith("…")
    leave(screen)
