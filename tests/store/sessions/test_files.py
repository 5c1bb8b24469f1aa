"""Finding sessions by name, the latest session, and that no name leads out of the folder."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli.errors import UsageError
from hermes_cli.store.sessions.files import latest_session, new_id, remove_session, session_file
from hermes_cli.store.sessions.names import find_session
from tests.saved import kept, message


def renamed(path: Path, id: str) -> Path:
    return path.rename(session_file(id))


def test_a_session_is_found_by_id_beginning_last_part_title_and_path(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = renamed(kept("What is a llama?", title="On Llamas"), "20261124-031500-7f3a")
    renamed(kept("What is an alpaca?"), "20261125-031500-81ea")
    for name in ("20261124-031500-7f3a", "20261124", "7f3a", "On Llamas", "  on   LLAMAS ", str(path)):
        assert find_session(name) == path
    assert find_session("what is an alpaca?").stem == "20261125-031500-81ea"
    elsewhere = path.rename(tmp_path / "copy.jsonl")
    monkeypatch.chdir(tmp_path)
    for name in ("copy.jsonl", "./copy.jsonl", str(elsewhere)):
        assert find_session(name).samefile(elsewhere)


def test_a_title_that_looks_like_a_path_is_found(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = kept("What is TCP/IP?"), kept("hello", title="notes.jsonl")
    assert (find_session("what is TCP/IP?"), find_session("notes.jsonl")) == (first, second)
    kept("And what is TCP/IP?", title="what is tcp/ip?")
    assert "matches several" in message(lambda: find_session("What is TCP/IP?"), UsageError)
    file = second.rename(tmp_path / "notes.jsonl")
    assert find_session("notes.jsonl").samefile(file)
    assert "there is no session file no/such" in message(lambda: find_session("no/such"), UsageError)


def test_a_whole_id_is_found_without_a_look_at_all_sessions(sessions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script may name hundreds of thousands."""
    path = kept("hello")
    monkeypatch.setattr(os, "scandir", lambda folder: pytest.fail("all sessions were looked at"))
    assert find_session(path.stem) == path


def test_a_name_that_may_mean_several_lists_them(sessions: Path) -> None:
    first, second = (renamed(kept("hello"), f"20261124-03150{number}-7f3{number}") for number in (1, 2))
    for name in ("20261124", "hello"):
        error = message(lambda name=name: find_session(name), UsageError)  # type: ignore[misc]
        assert f"{name} matches several sessions: {second.stem} (hello), {first.stem} (hello)" in error
    renamed(kept("first", title="20261124"), "20270101-000000-0000")
    assert find_session("20261124").stem == "20270101-000000-0000"


def test_an_unknown_name_has_a_hint(sessions: Path) -> None:
    assert (
        message(lambda: find_session("x"), UsageError)
        == "there is no session x | list the sessions: hermes sessions list"
    )
    kept("hello", title="On llamas")
    assert "did you mean On llamas?" in message(lambda: find_session("On lamas"), UsageError)


HOSTILE = ["", " ", ".", "..", "../x", "a/../../x", "/", "/etc", "\0", "a\0b", "x/\0", "~", "*", ".jsonl", "-", "\n"]
HOSTILE += ["../secret.jsonl", "..\\secret", "/etc/passwd\0.jsonl", "x" * 5000, "x" * 5000 + ".jsonl", "\udcff"]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_no_name_leads_out_of_the_folder(sessions: Path, name: str) -> None:
    kept("hello")
    (sessions.parent / "secret.jsonl").mkdir()
    with pytest.raises(UsageError, match="there is no session"):
        find_session(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text(max_size=12))
def test_name_without_a_slash_finds_only_files_in_the_folder(sessions: Path, name: str) -> None:
    sessions.mkdir(parents=True, exist_ok=True)
    (sessions / "20261124-031500-7f3a.jsonl").write_text("x")
    try:
        found = find_session(name)
    except UsageError:
        return
    assert found.parent == sessions or os.sep in name


def test_other_files_in_the_folder_are_no_sessions(sessions: Path, tmp_path: Path) -> None:
    path = kept("hello", used=1000)
    for name in (".hidden.jsonl", "notes.txt", "bad name.jsonl", "empty.jsonl", "x" * 120 + ".jsonl"):
        (sessions / name).write_text("" if name == "empty.jsonl" else "later")
    (sessions / "folder.jsonl").mkdir()
    (sessions / "nowhere.jsonl").symlink_to(tmp_path / "nothing")
    assert latest_session() == path


def test_the_latest_session_is_the_one_written_last(sessions: Path) -> None:
    assert latest_session() is None
    paths = [kept("hello", used=used) for used in (3000, 9000, 5000)]
    assert latest_session() == paths[1]
    os.utime(paths[0], (10_000, 10_000))
    assert latest_session() == paths[0]


def test_a_session_of_a_clock_that_was_put_back_is_not_the_latest(sessions: Path) -> None:
    to_come = kept("hello", used=2**35)
    assert latest_session() == to_come
    now = kept("now")
    assert latest_session() == now


def test_removing_removes_one_file_and_not_what_a_link_leads_to(sessions: Path, tmp_path: Path) -> None:
    path, other = kept("hello"), kept("bye")
    elsewhere = path.rename(tmp_path / "elsewhere.jsonl")
    path.symlink_to(elsewhere)
    remove_session(path)
    remove_session(path)
    assert (path.exists(), elsewhere.exists(), other.exists()) == (False, True, True)


def test_ids_differ_and_sort_by_time() -> None:
    drawn = [new_id() for _ in range(20)]
    assert len(set(drawn)) >= 19
    assert sorted(id[:15] for id in drawn) == [id[:15] for id in drawn]
