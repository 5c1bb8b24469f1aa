"""The index of sessions: it follows the files, finds text, and can be deleted or damaged at any time."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli import paths
from hermes_cli.store.sessions.index import all_sessions, excerpt, search_sessions
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript
from tests.conftest import child_environment
from tests.saved import begun, kept, turn


def titles() -> list[str]:
    return [session.title for session in all_sessions()]


def test_no_folder_is_a_session(sessions: Path) -> None:
    assert (all_sessions(), search_sessions("a")) == ([], [])
    assert not sessions.exists()


def test_the_list_says_what_is_in_a_session(sessions: Path) -> None:
    kept("older", used=1000)
    path = kept("What is a llama?", "And an alpaca?", used=2000)
    newest, older = all_sessions()
    assert (newest.path, newest.id, newest.title, newest.turn_count) == (path, path.stem, "What is a llama?", 2)
    assert (newest.model, newest.size_bytes, newest.problem) == ("demo", path.stat().st_size, None)
    assert (newest.used.timestamp(), older.title) == (2000, "older")


def test_the_model_in_the_list_is_the_one_that_answered_last(sessions: Path) -> None:
    transcript = begun(turn(1))
    transcript.append_turn(turn(2), 1, model="Hermes 3", finished=None)
    assert [session.model for session in all_sessions()] == ["Hermes 3"]
    transcript.move_head(1)
    assert [session.model for session in all_sessions()] == ["demo"]
    transcript.move_head(None)
    assert [session.model for session in all_sessions()] == ["demo"]


def test_the_list_follows_the_files(sessions: Path) -> None:
    first = kept("first", used=1000)
    assert titles() == ["first"]
    second = kept("second", used=2000)
    assert titles() == ["second", "first"]
    transcript = Transcript.reopen(read_session(first))
    transcript.set_title("renamed")
    transcript.close()
    os.utime(first, (1000, 1000))
    second.unlink()
    assert titles() == ["renamed"]


def test_a_session_that_cannot_be_read_is_listed_with_the_reason(sessions: Path) -> None:
    path = kept("first")
    path.write_text('{"hermes_session":9}\n')
    (session,) = all_sessions()
    assert session.problem and "written by a later hermes" in session.problem
    assert search_sessions("first") == []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("the quick brown fox", "QUICK Brown"),
        ("Grüße aus Köln", "GRÜSSE"),
        ("日本語のテキスト", "テキ"),
        ('a "quoted" 100%_\\n', '"quoted" 100%_\\n'),
        ("🦙 llama", "🦙"),
        ("half\udcff", "HALF"),
    ],
)
def test_what_was_said_is_found_in_any_case(sessions: Path, said: str, wanted: str) -> None:
    path = kept("nothing", said)
    kept("other")
    assert [session.path for session in search_sessions(wanted)] == [path]
    assert said[:4] in excerpt(path, wanted)


def test_answers_titles_and_old_branches_are_searched(sessions: Path) -> None:
    transcript = begun(turn(1, answer="an undone answer"), turn(2))
    transcript.move_head(None)
    transcript.set_title("Named")
    for wanted in ("undone", "question 2", "named"):
        assert [session.id for session in search_sessions(wanted)] == [transcript.id]
    assert search_sessions("answerquestion") == []


def test_an_excerpt_is_short_and_on_one_line(sessions: Path) -> None:
    path = kept("word " * 100 + "needle\nin\ta " + "stack " * 100)
    assert excerpt(path, "NEEDLE") == "…" + "word " * 8 + "needle in a " + "stack " * 5 + "stac…"
    assert excerpt(path, "absent") == ""
    assert excerpt(sessions / "absent.jsonl", "needle") == ""


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "deleted":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("this is not a database")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "zeros":
            path.write_bytes(content[:100] + bytes(len(content) - 100))
        case "another layout":
            with sqlite3.connect(path) as index:
                index.execute("PRAGMA user_version = 99")
                index.execute("DROP TABLE texts")
        case "a value of another kind":
            with sqlite3.connect(path) as index:
                index.execute("UPDATE sessions SET turns = 'many'")
        case "a folder":
            path.unlink()
            path.mkdir()
        case "a journal of another file":
            path.with_name(f"{path.name}-journal").write_bytes(os.urandom(5000))


SPOILED = (
    "deleted",
    "empty",
    "text",
    "cut",
    "zeros",
    "another layout",
    "a value of another kind",
    "a folder",
    "a journal of another file",
)


@pytest.mark.parametrize("how", SPOILED)
def test_a_lost_or_damaged_index_is_made_again(sessions: Path, how: str) -> None:
    kept("hello there", used=1000)
    assert titles() == ["hello there"]
    spoil(paths.session_index_file(), how)
    assert [(session.title, session.turn_count) for session in all_sessions()] == [("hello there", 1)]
    assert [session.title for session in search_sessions("there")] == ["hello there"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_no_damage_to_the_index_raises(sessions: Path, data: st.DataObject) -> None:
    if not sessions.exists():
        kept("hello there")
    all_sessions()
    path = paths.session_index_file()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, min(len(content) - 9, 4000)) | st.integers(0, len(content) - 9))
        content[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(content)
    assert all(isinstance(session.title, str) for session in (*all_sessions(), *search_sessions("there")))
    path.unlink()


def test_without_a_place_for_the_index_everything_works(sessions: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    kept("hello")
    assert titles() == ["hello"]


def test_an_index_that_another_program_keeps_locked_is_left_to_it(
    sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermes_cli.store.sessions.index._PATIENCE_S", 0.05)
    kept("hello")
    all_sessions()
    kept("later")
    before = paths.session_index_file().stat().st_ino
    with sqlite3.connect(paths.session_index_file()) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert set(titles()) == {"hello", "later"}
    other.close()
    assert paths.session_index_file().stat().st_ino == before


def test_the_index_is_private_and_forgets_removed_sessions(sessions: Path) -> None:
    path = kept("the secret word is xylophone")
    before = os.umask(0)
    try:
        all_sessions()
    finally:
        os.umask(before)
    index = paths.session_index_file()
    assert (index.stat().st_mode & 0o777, index.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"xylophone" in index.read_bytes()
    path.unlink()
    all_sessions()
    assert b"xylophone" not in index.read_bytes()


LISTING = """
    from hermes_cli.store.sessions.index import all_sessions
    for _ in range(10):
        assert len(all_sessions()) >= 20
"""


def test_programs_that_list_at_once_do_not_disturb_each_other(sessions: Path) -> None:
    for number in range(20):
        kept(f"session {number}")
    command = [sys.executable, "-c", textwrap.dedent(LISTING)]
    children = [subprocess.Popen(command, env=child_environment()) for _ in range(4)]
    more: list[Callable[[], int]] = [child.wait for child in children]
    kept("one more")
    assert [wait() for wait in more] == [0] * 4
    assert len(all_sessions()) == 21
