"""The keyboard while an answer comes, on real terminals under a shell with job control."""

import os
import signal
import termios
import threading
import time
from pathlib import Path

import pytest

from hermes_cli.terminal.prompt.keyboard import forget_typed, quiet_keyboard, restore
from tests.terminal.prompt.prompts import PROGRAM, Terminal, on_terminal

QUIET, USUAL = (False, False, False), (True, True, True)
PROGRAM_FILE = "program.py"


def modes(terminal: Terminal) -> tuple[bool, bool, bool]:
    """Whether the terminal echoes, makes lines, and makes newlines of Enter."""
    attributes = termios.tcgetattr(terminal.child.child_fd)
    local, given = attributes[3], attributes[0]
    return bool(local & termios.ECHO), bool(local & termios.ICANON), bool(given & termios.ICRNL)


def answering(terminal: Terminal, how: str = "answer") -> None:
    """Bring the program to where it answers."""
    terminal.shows("the status")
    terminal.send(f"{how}\r")
    terminal.shows("answering")


def test_what_is_typed_ahead_waits_for_the_prompt(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        answering(terminal)
        assert modes(terminal) == QUIET
        terminal.send("typed\nahead\r")
        (tmp_path / "enough").touch()
        lines = terminal.shows("<typed")
        assert lines[:8] == [
            "> answer",
            "<answer>",
            "answering",
            "stopped by None",
            "> typed",
            "  ahead",
            "<typed",
            "ahead>",
        ]


def test_ctrl_c_stops_the_answer_and_keeps_what_was_typed(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        answering(terminal)
        terminal.send("a question\x03")
        terminal.shows("stopped by interrupt", "> a question")


def test_a_paste_during_the_answer_is_one_message(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        answering(terminal)
        assert "\x1b[?2004h" in terminal.raw.rsplit("<answer>", 1)[1]
        terminal.send("\x1b[200~one\rtwo\r\x1b[201~")
        (tmp_path / "enough").touch()
        terminal.shows("> one", "  two")
        terminal.send("three\r")
        terminal.shows("<one", "two", "three>")


def test_behind_a_paste_larger_than_the_terminal_holds_ctrl_c_still_stops_the_answer(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        answering(terminal)
        terminal.send("\x1b[200~" + "a long line\r" * 10_000 + "\x1b[201~")
        terminal.send("\x03")
        terminal.shows("stopped by interrupt", "> [pasted 10,000 lines, 120.0 kB]")
        terminal.send("\r")
        terminal.shows("<120000>")


@pytest.mark.parametrize(("keys", "shown"), [("a line\r", "<a line>"), ("\x04", "end of input")], ids=("line", "end"))
def test_what_was_typed_before_the_keyboard_was_quiet_is_kept(keys: str, shown: str, tmp_path: Path) -> None:
    program = """
import select, time
from pathlib import Path
from hermes_cli.terminal.prompt.keyboard import quiet_keyboard
from hermes_cli.terminal.prompt.open import open_prompt

prompt = open_prompt(complete=lambda text: [], status=lambda: "", history_file=None)
print("preparing", flush=True)
while not select.select([0], [], [], 1)[0]:
    pass
with quiet_keyboard():
    while select.select([0], [], [], 0)[0]:
        time.sleep(0.02)
    print("answered", flush=True)
text = prompt.read()
print("end of input" if text is None else f"<{text}>", flush=True)
"""
    with on_terminal(tmp_path, program=program, TERM="dumb") as terminal:
        terminal.shows("preparing")
        terminal.send(keys)
        terminal.shows("answered", shown)


def shell(folder: Path) -> "tuple[str, ...]":
    """An interactive shell, and the program as a file."""
    (folder / PROGRAM_FILE).write_text(PROGRAM)
    return "bash", "--norc", "--noprofile", "--noediting", "-i"


@pytest.mark.parametrize("moment", ["prompt", "answer"])
def test_ctrl_z_and_back(moment: str, tmp_path: Path) -> None:
    with on_terminal(tmp_path, *shell(tmp_path)) as terminal:
        terminal.run(PROGRAM_FILE)
        if moment == "answer":
            answering(terminal)
        terminal.shows("the status" if moment == "prompt" else "answering")
        terminal.send("typed")
        if moment == "prompt":
            terminal.shows("> typed")
        terminal.send("\x1a")
        terminal.until(lambda lines: "Stopped" in "".join(lines) and lines[-1] == "$")
        assert modes(terminal) == USUAL
        if moment == "answer":
            assert "\x1b[?25h\x1b[?7h\x1b[0m" in terminal.raw.rsplit("answering", 1)[1]
        terminal.send("fg\n")
        if moment == "answer":
            terminal.shows("resumed")
            assert modes(terminal) == QUIET
            (tmp_path / "enough").touch()
            terminal.shows("stopped by None")
        else:
            terminal.ends_with("> typed", "the status")


def test_stopped_from_outside_at_the_prompt(tmp_path: Path) -> None:
    with on_terminal(tmp_path, *shell(tmp_path)) as terminal:
        terminal.run(PROGRAM_FILE)
        terminal.shows("the status")
        terminal.send("draft")
        terminal.shows("> draft")
        process = os.tcgetpgrp(terminal.child.child_fd)
        for number in (signal.SIGTSTP, signal.SIGSTOP):
            os.kill(process, number)
            terminal.ends_with("$")
            terminal.send("fg\n")
            terminal.ends_with("> draft", "the status")
        terminal.send("!\r")
        terminal.shows("<draft!>")


def test_a_job_that_began_in_the_background_has_its_prompt_once_it_is_in_front(tmp_path: Path) -> None:
    with on_terminal(tmp_path, *shell(tmp_path)) as terminal:
        terminal.run(f'{PROGRAM_FILE} & until [ "$(jobs -s)" ]; do :; done; fg')
        terminal.shows("> ", "the status")
        terminal.send("here\r")
        terminal.shows("<here>")


def test_ctrl_z_in_the_editor_gives_the_shell_the_terminal_too(tmp_path: Path) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nkill -TSTP 0\nprintf ' and more' >> \"$1\"\n")
    editor.chmod(0o700)
    with on_terminal(tmp_path, *shell(tmp_path), EDITOR=str(editor), VISUAL=None) as terminal:
        terminal.run(PROGRAM_FILE)
        terminal.shows("the status")
        terminal.send("draft\x18\x05")
        terminal.ends_with("$")
        terminal.send("fg\n")
        terminal.ends_with("> draft and more", "the status")


@pytest.mark.parametrize(("keys", "code"), [("\x1c", 131), ("\x03\x03", 130)])
def test_a_forced_end_restores_the_terminal(keys: str, code: int, tmp_path: Path) -> None:
    with on_terminal(tmp_path, *shell(tmp_path)) as terminal:
        terminal.run(f"{PROGRAM_FILE}; echo code $?")
        answering(terminal, "stuck")
        assert modes(terminal) == QUIET
        terminal.send("echo typed for the chat\n")
        terminal.send(keys[0])
        for key in keys[1:]:
            time.sleep(1.1)  # only a later Ctrl-C is impatience
            terminal.send(key)
        lines = terminal.shows(f"code {code}")
        assert "typed for the chat" not in "".join(lines)
        assert modes(terminal) == USUAL


def test_in_the_background_the_terminal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(
        "from hermes_cli.terminal.prompt.keyboard import quiet_keyboard\n"
        "with quiet_keyboard(): print('in', flush=True)\nprint('out')\n"
    )
    with on_terminal(tmp_path, *shell(tmp_path)) as terminal:
        terminal.run("quiet.py & wait; echo waited")
        lines = terminal.until(lambda lines: "waited" in lines)
        assert "in" in lines and "out" in lines
        assert modes(terminal) == USUAL


def test_without_a_terminal_only_the_end_of_a_stop_is_reported() -> None:
    numbers, report = (signal.SIGTSTP, signal.SIGQUIT, signal.SIGCONT), []
    before = [signal.getsignal(number) for number in numbers]
    with quiet_keyboard(lambda: report.append("resumed")):
        restore()
        forget_typed()
        assert [signal.getsignal(number) for number in numbers[:2]] == before[:2]
        os.kill(os.getpid(), signal.SIGCONT)
    assert report == ["resumed"]
    assert [signal.getsignal(number) for number in numbers] == before


def test_in_another_thread_no_signal_is_touched() -> None:
    problems: list[BaseException] = []

    def use() -> None:
        try:
            with quiet_keyboard():
                pass
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert problems == []
