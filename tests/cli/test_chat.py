"""`hermes chat` on a real pseudo-terminal and in a pipe."""

import os
import re
import time
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, child_environment, hermes_command

NAME, NAME_ANSWER = "My name is Alice.", "Nice to meet you, Alice!"
RECALL, RECALL_ANSWER = "What is my name?", "Your name is Alice."
PROMPT = "\n> "
GREEDY_CHAT = ("chat", "-m", "demo", "-t", "0")


def test_a_chat_remembers_and_ctrl_d_leaves(on_terminal: OnTerminal) -> None:
    child = on_terminal("chat", "-m", "demo", "-t", "0")
    child.expect(re.escape("Ctrl-D leaves"))
    for question, answer in ((NAME, NAME_ANSWER), (RECALL, RECALL_ANSWER)):
        child.expect_exact(PROMPT)
        child.sendline(question)
        child.expect_exact(answer)
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(on_terminal: OnTerminal, endless_path: Path) -> None:
    child = on_terminal("chat", "-m", endless_path)
    for _ in range(2):
        child.expect_exact(PROMPT)
        child.sendline("Tell me something.")
        child.expect_exact("Tell me something.\r\n")
        child.expect(r"\S")
        child.sendintr()
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0


def test_ctrl_c_at_the_prompt_says_how_to_leave(on_terminal: OnTerminal) -> None:
    child = on_terminal("chat", "-m", "demo", "-t", "0")
    child.expect_exact(PROMPT)
    child.send("half a line")
    child.sendintr()
    child.expect_exact("Ctrl-D leaves")
    child.expect_exact(PROMPT)
    child.sendline("What is 2 plus 3?")
    child.expect_exact("2 plus 3 is 5.")
    child.sendeof()
    assert exit_code(child) == 0


def test_a_message_too_long_for_the_window_costs_only_its_turn(on_terminal: OnTerminal) -> None:
    child = on_terminal("chat", "-m", "demo", "-t", "0", "--ctx", "512")
    child.expect_exact(PROMPT)
    child.sendline("qx " * 1000)
    child.expect(r"error: .*the prompt has [\d,]+ tokens, the window 512")
    child.expect("hint: ")
    child.expect_exact(PROMPT)
    child.sendline(NAME)
    child.expect_exact(NAME_ANSWER)
    child.expect_exact(PROMPT)
    child.sendline("qx " * 1000)
    child.expect_exact("start a new chat, or ")
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0


def test_attached_files_wait_for_a_turn_that_succeeds(on_terminal: OnTerminal, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("qx " * 1000)
    child = on_terminal("chat", "-m", "demo", "-t", "0", "--ctx", "512", "-f", "long.txt")
    for _ in range(2):
        child.expect_exact(PROMPT)
        child.sendline(NAME)
        child.expect(r"error: .*the prompt has [\d,]+ tokens, the window 512")
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0


def test_ctrl_c_twice_while_a_prompt_is_read_costs_neither_the_chat_nor_its_files(
    on_terminal: OnTerminal, wide_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("one two three four five six seven " * 1200)
    child = on_terminal("chat", "-m", wide_path, "--ctx", "32768", "--threads", "1", "-f", "long.txt")
    for _ in range(2):
        child.expect_exact(PROMPT)
        child.sendline("Hi")
        child.expect(r"reading prompt (\d+\.\dk) tok")
        child.sendintr()
        time.sleep(0.005)
        child.sendintr()
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0


def test_a_byte_that_is_no_character_costs_nothing(on_terminal: OnTerminal) -> None:
    child = on_terminal("chat", "-m", "demo", "-t", "0", PYTHONIOENCODING="utf-8:strict")
    child.expect_exact(PROMPT)
    child.setecho(False)  # pexpect itself stumbles over this byte
    os.write(child.child_fd, b"caf\xe9\n")
    child.expect_exact(PROMPT)
    child.sendline(NAME)
    child.expect_exact(NAME_ANSWER)
    child.sendeof()
    assert exit_code(child) == 0


def test_with_stdout_in_a_pipe_only_answers_go_there(tmp_path: Path) -> None:
    child = pexpect.spawn(
        "bash",
        ["-c", '"$@" | cat > answers; echo "code ${PIPESTATUS[0]}"', "bash", *hermes_command(*GREEDY_CHAT)],
        env=child_environment({"TERM": "xterm"}),
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=60,
    )
    for question in (NAME, RECALL):
        child.expect_exact(PROMPT)
        child.sendline(question)
    child.expect_exact(PROMPT)
    child.sendeof()
    child.expect_exact("code 0")
    child.close()
    assert (tmp_path / "answers").read_text() == f"{NAME_ANSWER}\n{RECALL_ANSWER}\n"


def told(child: "pexpect.spawn[str]", name: str) -> str:
    """The word that the child prints after `name`."""
    child.expect(rf"{name} (\S+)\r\n")
    assert isinstance(child.match, re.Match)
    return str(child.match[1])


@pytest.mark.parametrize("stopped", [False, True], ids=["at-the-prompt", "after-a-stopped-answer"])
def test_the_terminal_is_left_as_it_was(stopped: bool, endless_path: Path) -> None:
    script = 'echo "before $(stty -g)"; "$@"; echo "code $?"; echo "after $(stty -g)"'
    child = pexpect.spawn(
        "bash",
        ["-c", script, "bash", *hermes_command("chat", "-m", endless_path)],
        env=child_environment({"TERM": "xterm"}),
        encoding="utf-8",
        timeout=60,
    )
    before = told(child, "before")
    child.expect_exact(PROMPT)
    if stopped:
        child.sendline("Hi")
        child.expect_exact("Hi\r\n")
        child.expect(r"\S")
        child.sendintr()
        child.expect_exact(PROMPT)
    child.sendeof()
    child.expect_exact("code 0")
    assert told(child, "after") == before
    child.close()


def test_hermes_alone_chats_on_a_terminal_and_answers_in_a_pipe(hermes: Hermes, on_terminal: OnTerminal) -> None:
    child = on_terminal()
    child.expect_exact("no Hermes 3 model here")
    child.expect_exact(PROMPT)
    child.sendeof()
    assert exit_code(child) == 0
    answered = hermes(stdin="Who are you?")
    assert (answered.code, answered.out.count(b"\n")) == (0, 1)
    assert answered.err.startswith("no Hermes 3 model here")


def test_piped_lines_are_turns_and_only_the_answers_come_out(hermes: Hermes) -> None:
    result = hermes("chat", "-m", "demo", "-t", "0", stdin=f"{NAME}\r\n\n  \n{RECALL}")
    assert (result.code, result.out.decode()) == (0, f"{NAME_ANSWER}\n{RECALL_ANSWER}\n")


def test_in_a_pipe_an_error_ends_the_chat_with_its_code(hermes: Hermes) -> None:
    lines = f"{NAME}\n{'word ' * 800}\n{RECALL}\n"
    result = hermes("chat", "-m", "demo", "-t", "0", "--ctx", "512", stdin=lines)
    assert result.out.decode() == f"{NAME_ANSWER}\n"
    result.out = b""
    assert_failed(result, 4, "tokens, the window 512")


def test_a_system_prompt_holds_for_the_chat_and_files_go_into_the_first_message(hermes: Hermes, tmp_path: Path) -> None:
    persona = hermes("chat", "-m", "demo", "-t", "0", "-s", "You are Mira, a pirate from Rome.", stdin="Who are you?")
    assert persona.out == b"Hello! I am Mira, a pirate from Rome.\n"
    (tmp_path / "note.txt").write_text("colour = red\nsize = 31\n")
    question, options = "What is the name of the file?", ("-m", "demo", "-t", "0", "-f", tmp_path / "note.txt")
    asked = hermes("ask", *options, question)
    assert asked.out == b"The file is called note.txt.\n"
    assert hermes("chat", *options, stdin=question).out == asked.out
