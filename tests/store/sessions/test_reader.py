"""Reading a session's file: whole, cut anywhere, damaged, put together by hand, or written by a later program."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli.chat.message import Message
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import HermesError, SessionBusy, SessionError, UsageError
from hermes_cli.store.sessions.reader import SavedSession, read_session
from hermes_cli.store.sessions.writer import Transcript
from tests.saved import begun, ids, kept, message, turn

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
HEADER = {"hermes_session": 1, "id": "x", "created": "2026-11-24T03:15:00.000+00:00", "model": "demo"}


def said(number: int, parent: int | None, question: str = "q", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "a"}]
    return {"turn": number, "parent": parent, "messages": messages, **more}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., SavedSession]:
    """Reads a file of these lines: bytes as they are, everything else as JSON."""

    def reading(*lines: Any) -> SavedSession:
        path = tmp_path / "x.jsonl"
        path.write_bytes(
            b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        )
        return read_session(path)

    return reading


def example() -> bytes:
    """A file with a record of every kind and some text that is not ASCII."""
    transcript = begun(turn(1, "Grüße 🦙"), turn(2, "x" * 100), system_prompt="Sei kurz.")
    transcript.append_turn(turn(3), 1, model="demo", finished=None)
    transcript.move_head(2)
    transcript.set_state([1], "pinned")
    transcript.set_title("Über Lamas")
    transcript.change_settings(SessionSettings("other", None, Sampling(0.1)), None)
    transcript.append_turn(turn(4), 2, model="demo", finished=None)
    transcript.close()
    return transcript.path.read_bytes()


def test_every_first_part_of_a_file_opens_and_holds_the_finished_turns(sessions: Path, tmp_path: Path) -> None:
    data = example()
    ends = [place for place, byte in enumerate(data) if byte == ord("\n")]
    lines = [json.loads(line) for line in data.splitlines()]
    path = tmp_path / "part.jsonl"
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        saved = read_session(path)
        whole = [line for line, end in zip(lines, ends, strict=True) if end <= length]
        assert list(saved.turns) == [line["turn"] for line in whole if "messages" in line]
        cut = length > 0 and length - 1 not in ends and length not in ends
        assert len(saved.notices) == cut, length
        assert all("was cut short" in notice for notice in saved.notices)
    assert ids(saved.conversation.turns) == [1, 2, 4]


@in_one_folder
@given(data=st.data())
def test_no_damage_raises_anything_but_our_errors(sessions: Path, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(example())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(damaged)))
        end = start + data.draw(st.sampled_from([0, 1, 2, 30]))
        damaged[start:end] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"\n", b"null", b"{}", b'"', b"-1", b"[" * 9])
        )
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(damaged)
    try:
        saved = read_session(path)
    except SessionError as error:
        assert "not a session" in error.message or "later hermes" in error.message
        return
    assert all(record.parent is None or record.parent in saved.turns for record in saved.turns.values())
    before = saved.conversation.turns
    try:
        transcript = Transcript.reopen(saved)
    except SessionBusy:
        transcript = Transcript.fork(saved)
    transcript.append_turn(turn(saved.last_turn_id + 1), before[-1].id if before else None, model=None, finished=None)
    transcript.close()
    after = read_session(transcript.path).conversation
    assert after.turns == (*before, turn(saved.last_turn_id + 1))
    assert after.system_prompt == saved.conversation.system_prompt


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
FIELDS = ["turn", "parent", "messages", "standing", "head", "title", "settings", "hermes_session", "id", "created"]
FIELDS += ["model", "preset", "system_prompt", "sampling", "role", "content", "finish_reason", "forked_from"]


@in_one_folder
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), values, max_size=5), max_size=4))
def test_values_of_wrong_types_are_skipped(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (HEADER, said(1, None), *records, said(99, 1))))
    try:
        saved = read_session(path)
    except SessionError as error:
        assert "later hermes" in error.message
        return
    assert ids(saved.conversation.turns)[-1] == max(saved.turns)
    assert {1, 99} <= set(saved.turns)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"turn":' + b"9" * 5000 + b',"messages":[]}',
        b'{"turn":2,"parent":1,"messages":[{"role":"user","content":NaN}]}',
        b'"text"',
        said(2, 1, question=None),  # type: ignore[arg-type]
        {"turn": 2, "parent": 1, "messages": []},
        {"turn": 2, "parent": 1, "messages": "hello"},
        {"turn": 2, "parent": 1, "messages": [{"role": "pirate", "content": "a"}]},
        {"turn": 2, "parent": 1, "messages": [{"role": ["user"], "content": "a"}]},
        {"turn": True, "messages": [{"role": "user", "content": "a"}]},
        {"turn": -2, "messages": [{"role": "user", "content": "a"}]},
        {"turn": 1, "standing": "upside down"},
        {"head": "1"},
        {"title": 5},
        {"settings": {"sampling": {"temperature": "hot"}}},
        {"settings": {"sampling": {"temperature": 1000}}},
        {"settings": {"model": ["demo"]}},
        {"hermes_session": "1"},
    ],
    ids=lambda line: str(line)[:40],
)
def test_only_the_damaged_line_is_lost(read: Callable[..., SavedSession], line: Any) -> None:
    saved = read(HEADER, said(1, None), line, said(3, 1))
    assert ids(saved.conversation.turns) == [1, 3]
    assert saved.settings == SessionSettings("demo")
    assert saved.notices == ("the session x is damaged; skipped as unreadable: line 3",)


def test_damaged_last_line_with_a_line_feed_counts_as_damaged_not_as_cut_off(read: Callable[..., SavedSession]) -> None:
    assert read(HEADER, said(1, None), b"{").notices == ("the session x is damaged; skipped as unreadable: line 3",)


def test_many_broken_lines_make_one_notice(read: Callable[..., SavedSession]) -> None:
    saved = read(HEADER, *[b"?"] * 9, said(1, None))
    assert saved.notices == ("the session x is damaged; skipped as unreadable: lines 2, 3, 4, 5, 6 and 4 more",)


def test_turns_after_a_lost_turn_are_kept(read: Callable[..., SavedSession]) -> None:
    saved = read(HEADER, said(1, None), b"broken", said(3, 2), said(4, 3))
    assert ids(saved.conversation.turns) == [1, 3, 4]
    assert saved.notices[1] == "the session x is damaged; these refer to missing turns: line 4"
    saved = read(HEADER, b"broken", said(2, 1))
    assert ids(saved.conversation.turns) == [2]
    saved = read(HEADER, said(1, None), {"head": 7}, {"turn": 7, "standing": "pinned"}, {"turn": 2, "messages": []})
    assert ids(saved.conversation.turns) == [1]


def test_turns_that_name_no_parent_follow_each_other(read: Callable[..., SavedSession]) -> None:
    """Somebody has written the file by hand."""
    first, second = said(1, None), said(2, None)
    del first["parent"], second["parent"]
    assert ids(read(HEADER, first, second).conversation.turns) == [1, 2]


def test_turn_cannot_be_its_own_ancestor(read: Callable[..., SavedSession]) -> None:
    assert ids(read(HEADER, said(1, 1), said(2, 3), said(3, 2)).conversation.turns) == [1, 2, 3]


def test_duplicate_line_is_ignored(read: Callable[..., SavedSession]) -> None:
    saved = read(HEADER, said(1, None), said(1, None), said(2, 1))
    assert (ids(saved.conversation.turns), saved.notices, saved.continuable) == ([1, 2], (), True)
    again = ({"head": 1}, said(3, 1))  # what could not be taken back is written once more
    saved = read(HEADER, said(1, None), said(2, 1), *again, *again)
    assert (ids(saved.conversation.turns), saved.notices, saved.continuable) == ([1, 3], (), True)


def test_two_turns_of_one_id_are_both_kept_and_not_written_on(read: Callable[..., SavedSession]) -> None:
    """Two files put together: the second conversation keeps its order and becomes a branch of its own."""
    again = {**HEADER, "model": "other", "id": "y"}
    saved = read(HEADER, said(1, None, "a"), said(2, 1, "b"), again, said(1, None, "c"), said(2, 1, "d"), {"head": 2})
    assert [part.question for part in saved.conversation.turns] == ["c", "d"]
    assert [record.turn.question for record in saved.turns.values()] == ["a", "b", "c", "d"]
    assert saved.last_turn_id == 4
    assert saved.settings.model == "demo"
    assert "uses a turn id twice; read as separate turns: lines 5, 6" in saved.notices[0]
    assert "id twice" in message(lambda: Transcript.reopen(saved), SessionBusy)


def test_unknown_fields_and_records_are_ignored(read: Callable[..., SavedSession]) -> None:
    saved = read(
        {**HEADER, "colour": "red", "sampling": {"temperature": 0.5, "dry": 1}},
        {"bookmark": 1, "at": [1, 2]},
        {**said(1, None), "mood": "good"},
        {"settings": {"preset": "coder", "colour": "blue"}},
        {**said(2, 1), "messages": [{"role": "assistant", "content": "c", "finish_reason": "later", "tool_calls": []}]},
    )
    assert saved.notices == ()
    assert saved.settings == SessionSettings("demo", "coder", Sampling(0.5))
    assert saved.conversation.turns[1].messages == (Message("assistant", "c"),)


def test_a_later_format_is_refused_in_words(read: Callable[..., SavedSession]) -> None:
    error = message(lambda: read({**HEADER, "hermes_session": 2}, said(1, None)), SessionError)
    assert error == "the session x was written by a later hermes, in format 2 | update hermes"


def test_format_1_is_readable_for_ever(tmp_path: Path) -> None:
    """These lines never change: what the first release wrote."""
    path = tmp_path / "20261124-031500-7f3a.jsonl"
    path.write_text(
        '{"hermes_session":1,"id":"20261124-031500-7f3a","created":"2026-11-24T03:15:00.123+00:00",'
        '"forked_from":"20261123-120000-0001","model":"demo","preset":"coder","system_prompt":"Be brief.",'
        '"sampling":{"temperature":0.3,"top_k":40,"seed":1}}\n'
        '{"turn":1,"parent":null,"time":"2026-11-24T03:15:07.000+00:00","model":"demo","seed":7,'
        '"usage":{"prompt_tokens":12,"cached_tokens":3,"completion_tokens":5},"messages":'
        '[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hel","finish_reason":"cancelled"}]}\n'
        '{"turn":2,"parent":null,"time":"2026-11-24T03:16:07.000+00:00","model":"demo","standing":"left_out",'
        '"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello","finish_reason":"stop"}]}\n'
        '{"head":1}\n{"turn":1,"standing":"pinned"}\n{"title":"Greetings"}\n'
        '{"settings":{"model":"other","preset":null,"system_prompt":null,"sampling":{}}}\n'
    )
    saved = read_session(path)
    assert (saved.id, saved.title, saved.notices) == ("20261124-031500-7f3a", "Greetings", ())
    assert saved.created == datetime(2026, 11, 24, 3, 15, 0, 123000, UTC)
    assert (saved.settings, saved.conversation.system_prompt) == (SessionSettings("other"), None)
    (first,) = saved.conversation.turns
    assert first.messages == (Message("user", "Hi"), Message("assistant", "Hel", "cancelled"))
    assert (first.state, saved.turns[2].turn.state) == ("pinned", "left_out")


@pytest.mark.parametrize("content", [b"", b'{"her', b'{"hermes_session":1,"id":"x"'], ids=lambda content: str(content))
def test_first_line_cut_by_a_crash_is_an_empty_session(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    assert read_session(path).conversation.turns == ()


@pytest.mark.parametrize("content", [b"hello", b"hello\n", b'{"messages":[]}\n', b"\x7fELF\0\0", b"GGUF" * 999])
def test_other_files_are_not_sessions(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    assert "is not a session of hermes" in message(lambda: read_session(path), SessionError)


def test_what_is_not_a_file_is_reported(tmp_path: Path) -> None:
    assert "there is no session" in message(lambda: read_session(tmp_path / "no.jsonl"), UsageError)
    assert "is not a file" in message(lambda: read_session(tmp_path), UsageError)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file" in message(lambda: read_session(tmp_path / "pipe"), UsageError)


def test_a_file_from_another_system_is_read(read: Callable[..., SavedSession]) -> None:
    header = b"\xef\xbb\xbf" + json.dumps(HEADER).encode() + b"\r"
    saved = read(header, b"\r", json.dumps(said(1, None)).encode() + b"\r")
    assert (ids(saved.conversation.turns), saved.settings.model, saved.notices) == ([1], "demo", ())


@pytest.mark.parametrize(
    "created", [None, "yesterday", 5, "2026-11-24", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59-14:00"]
)
def test_a_session_without_a_usable_date_has_one(read: Callable[..., SavedSession], created: Any) -> None:
    assert read({**HEADER, "created": created}, said(1, None)).created.tzinfo is UTC


def test_a_clock_that_goes_backwards_changes_no_order(read: Callable[..., SavedSession]) -> None:
    saved = read(HEADER, said(1, None, time="2030-01-01T00:00:00+00:00"), said(2, 1, time="1970-01-01T00:00:00+00:00"))
    assert (ids(saved.conversation.turns), saved.notices) == ([1, 2], ())


def test_a_title_is_the_beginning_of_what_was_asked(sessions: Path) -> None:
    assert read_session(kept("\n\n  What is\ta llama?  \nTell me.")).title == "What is a llama?"
    assert read_session(kept("word " * 40)).title == "word " * 11 + "word…"
    assert read_session(kept(" \n ")).title == ""


def test_a_session_of_50_megabytes_opens(sessions: Path) -> None:
    path = kept("first")
    line = path.read_bytes().split(b"\n")[1]
    with path.open("ab") as file:
        for number in range(2, 52):
            grown = json.loads(line) | {"turn": number, "parent": number - 1}
            grown["messages"][1]["content"] = "word " * 200_000
            file.write(json.dumps(grown).encode() + b"\n")
    assert path.stat().st_size > 50_000_000
    saved = read_session(path)
    assert len(saved.conversation.turns) == 51
    Transcript.reopen(saved).append_turn(turn(52), 51, model=None, finished=None)
    assert len(read_session(path).conversation.turns) == 52


def test_a_conversation_of_thousands_of_turns_opens(read: Callable[..., SavedSession]) -> None:
    saved = read(HEADER, *(said(number, number - 1 or None) for number in range(1, 5000)))
    assert len(saved.conversation.turns) == 4999


def test_errors_are_of_one_family() -> None:
    assert issubclass(SessionBusy, SessionError) and issubclass(SessionError, HermesError)
