"""`hermes ask -c` and `--session`: a session continues with its settings, in its file or in a copy."""

import fcntl
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.message import Message
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions.reader import read_session
from tests.cli.conftest import OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, child_environment, hermes_command
from tests.saved import begun, folders_in, ids, kept, turn

SUM = "What is 2 plus 3?"


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path) -> Iterator[Path]:
    """The folder of the sessions, of this test only and not made yet."""
    with folders_in(tmp_path):
        yield paths.sessions_folder()


def test_model_preset_and_sampling_stay_until_options_change_them(hermes: Hermes, sessions: Path) -> None:
    begin = ("-m", "demo", "-p", "translate", "--var", "language=French", "-t", "0", "-n", "6", "--seed", "3")
    first = json.loads(hermes("ask", "--json", *begin, "Hello").out)
    (path,) = sessions.iterdir()
    led = SessionSettings("demo", "translate", Sampling(0, repeat_penalty=1), 6)
    assert (first["session"], read_session(path).settings) == (path.stem, led)
    shown = json.loads(hermes("ask", "-c", "--dry-run", "--json", "Again").out)["prompt"]
    assert "into French" in shown and "Hello" in shown
    second = json.loads(hermes("ask", "-c", "--json", "Again", env={"HERMES_CLI_TEMPERATURE": "5"}).out)
    assert second["usage"]["completion_tokens"] <= 6
    assert read_session(path).settings == led
    hermes("ask", "--session", path.stem[-4:], "-t", "1", "-n", "5", "-p", "default", "Again")
    saved = read_session(path)
    assert saved.settings == SessionSettings("demo", "default", Sampling(1), 5)
    assert (ids(saved.conversation.turns), saved.conversation.system_prompt) == ([1, 2, 3], None)
    assert first["seed"] == 3 != second["seed"]


def test_session_outside_the_folder_is_named_by_its_path(
    hermes: Hermes, on_terminal: OnTerminal, tmp_path: Path
) -> None:
    kept("My name is Alice.").rename(tmp_path / "of mine.jsonl")
    first = json.loads(hermes("ask", "--json", "--session", "of mine.jsonl", SUM, cwd=tmp_path).out)
    assert first["session"] == str(tmp_path / "of mine.jsonl")
    chat = on_terminal("chat", "--session", first["session"], TERM="dumb")
    chat.expect_exact("/help")
    chat.sendline("/exit")
    chat.expect_exact(f"Saved. Resume: hermes chat --session '{tmp_path}/of mine.jsonl'")
    assert exit_code(chat) == 0


def test_session_written_by_another_program_continues_in_a_copy(hermes: Hermes, sessions: Path) -> None:
    transcript = begun(turn(1, "My name is Alice.", "Nice to meet you, Alice!"))
    transcript.close()
    path = transcript.path
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = hermes("ask", "-c", "-t", "0", "What is my name?")
    (copy,) = set(sessions.iterdir()) - {path}
    assert result.out == b"Your name is Alice.\n"
    assert result.err == f"the session {path.stem} is open in another program; continuing in a copy, {copy.stem}\n"
    assert [len(read_session(file).conversation.turns) for file in (path, copy)] == [1, 2]


def test_session_longer_than_the_context_fails_unless_turns_can_be_dropped(hermes: Hermes) -> None:
    path = kept(*(f"word {number} " * 900 for number in range(4)))
    result = hermes("ask", "-c", SUM)
    assert_failed(result, 4, "the prompt has")
    assert "hint: drop the oldest turns: --overflow drop, or " in result.err
    dropped = hermes("ask", "-c", "-t", "0", "--overflow", "drop", SUM)
    assert (dropped.code, dropped.out) == (0, b"2 plus 3 is 5.\n")
    assert dropped.err.startswith("left out of the context: the ")
    states = [turn.state for turn in read_session(path).conversation.turns]
    assert states[0] == "left_out" and states[-1] == "kept"


def test_dropping_turns_is_not_advised_where_the_prompt_alone_is_too_long(hermes: Hermes) -> None:
    path = kept(SUM)
    for options in ((), ("--overflow", "drop")):
        result = hermes("ask", "-c", *options, stdin=b"word " * 30_000)
        assert_failed(result, 4, "the prompt has")
        assert "hint: shorten it" in result.err
    assert [turn.state for turn in read_session(path).conversation.turns] == ["kept"]


def test_a_model_that_is_gone_is_named_with_the_session_that_wants_it(hermes: Hermes) -> None:
    gone = begun(turn(1), settings=SessionSettings("gone"))
    gone.close()
    result = hermes("ask", "-c", SUM)
    assert_failed(result, 3, f"there is no local model gone (in the session {gone.id})")
    assert "hint: continue with another: -m NAME" in result.err
    assert hermes("ask", "-c", "-m", "demo", "-t", "0", SUM).out == b"2 plus 3 is 5.\n"


def test_without_a_session_there_is_nothing_to_may_continue_with(hermes: Hermes, tmp_path: Path) -> None:
    assert_failed(hermes("ask", "-c", SUM), 2, "there is no session yet")
    assert_failed(hermes("ask", "--session", "../x", SUM), 2, "there is no session file ../x")
    assert_failed(hermes("ask", "--session", tmp_path, SUM), 2, "there is no session file")


def test_a_question_without_an_answer_is_named_and_asked_again(hermes: Hermes, on_terminal: OnTerminal) -> None:
    transcript = begun(turn(1))
    transcript.append_question(2, Message("user", SUM), 1)
    transcript.close()
    note = f"hermes was stopped before it answered the last question: {SUM}"
    assert hermes("sessions", "show").out.decode().endswith(f"> {SUM}\n\n[not answered]\n")
    chat = on_terminal("chat", "-c", "-t", "0", TERM="dumb")
    chat.expect_exact(note)
    chat.expect_exact(SUM)
    chat.send("\r")
    chat.expect_exact("2 plus 3 is 5.")
    chat.sendline("/exit")
    assert exit_code(chat) == 0
    assert ids(read_session(transcript.path).conversation.turns) == [1, 2]


def test_a_killed_answer_leaves_its_question(hermes: Hermes, sessions: Path, endless_path: Path) -> None:
    command = hermes_command("ask", "-m", endless_path, SUM)
    child = subprocess.Popen(command, env=child_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout and child.stdout.read(1)
    child.kill()
    child.communicate()
    (path,) = sessions.iterdir()
    assert read_session(path).unanswered == SUM
    result = hermes("ask", "-c", "-m", "demo", "-t", "0", SUM)
    assert result.out == b"2 plus 3 is 5.\n"
    assert result.err == f"hermes was stopped before it answered the last question: {SUM}\n"
