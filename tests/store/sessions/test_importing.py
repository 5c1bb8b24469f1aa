"""Imports: conversations of other programs are complete, or the report says what was left out."""

import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message
from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import call_block, response_block
from hermes_cli.store.sessions.dialects import Imported, imported
from hermes_cli.store.sessions.export import as_json, as_sharegpt
from hermes_cli.store.sessions.importing import conversations_in, import_sessions
from hermes_cli.store.sessions.reader import read_session
from tests.saved import kept, message


def in_file(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


GPT = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
AB = Conversation(None, (Turn(1, (Message("user", "a"), Message("assistant", "b"))),))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(GPT),
        json.dumps(CHAT),
        json.dumps({**GPT, "id": "x", "source": "somewhere"}, indent=2),
        json.dumps([CHAT]),
        "\ufeff" + json.dumps(CHAT) + "\r\n",
        json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, CHAT["messages"][1]]}),
        json.dumps({"conversations": CHAT["messages"]}).replace('"content"', '"value"'),
    ],
)
def test_both_forms_are_read_however_they_are_laid_out(tmp_path: Path, content: str) -> None:
    assert conversations_in(in_file(tmp_path, content)) == [Imported(AB)]


def test_turns_begin_where_the_user_speaks_again(tmp_path: Path) -> None:
    said = [("developer", "s"), ("assistant", "hello"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]
    line = json.dumps({"messages": [{"role": role, "content": content} for role, content in said]})
    found = conversations_in(in_file(tmp_path, line))[0].conversation
    assert found.system_prompt == "s"
    contents = [[part.content for part in given.messages] for given in found.turns]
    assert contents == [["hello"], ["a", "b", "c"], ["d"]]


FAULTS = {
    "nothing": ("", "there is no conversation in"),
    "an empty list": ("[]", "there is no conversation in"),
    "no JSON": (json.dumps(CHAT) + "\nhello\n", "line 2 of"),
    "a number": ("5", "conversation 1 of"),
    "other keys": ('{"text": "a"}', "has neither `conversations` nor `messages`"),
    "no messages": ('{"messages": []}', "there is no conversation in"),
    "only a system prompt": ('{"messages": [{"role": "system", "content": "a"}]}', "there is no conversation in"),
    "a message that is none": ('{"messages": ["a"]}', "has a message that is not an object"),
    "an unknown role": ('{"messages": [{"role": "pirate", "content": "a"}]}', "has a message from 'pirate'"),
    "no role": ('{"messages": [{"content": "a"}]}', "has a message from None"),
    "a role of lists": ('{"messages": [{"role": [1], "content": "a"}]}', "has a message from [1]"),
    "no text": ('{"messages": [{"role": "user", "content": null}]}', "there is no conversation in"),
    "a text that is a number": ('{"messages": [{"role": "user", "content": 5}]}', "neither a string nor a list"),
    "another database": (b"SQLite format 3\0", "is not a database of Ollama's chats"),
    "deep nesting": ("[" * 100_000, "is not JSON"),
    "other bytes": (b"\xff\xfe\x00", "is not UTF-8 text"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_reported_and_nothing_of_it_imported(sessions: Path, tmp_path: Path, name: str) -> None:
    content, expected = FAULTS[name]
    assert expected in message(lambda: import_sessions(in_file(tmp_path, content)), UsageError)
    assert not sessions.exists()


def test_values_of_a_wrong_type_are_left_out(sessions: Path, tmp_path: Path) -> None:
    call = {"id": [1], "function": {"name": "f", "arguments": "{}"}}
    thought = {"type": "contentBlock", "style": {"type": "thinking"}, "content": 3}
    odd = [
        {"messages": [*CHAT["messages"], {"role": "assistant", "tool_calls": [call]}]},
        {"messages": [*CHAT["messages"], {"role": "tool", "tool_call_id": {}, "content": "1"}]},
        {"messages": [*CHAT["messages"], {"versions": [{"role": "assistant", "steps": [thought]}]}]},
        {"instruction": "a", "output": "b", "history": 3},
    ]
    files, _ = import_sessions(in_file(tmp_path, json.dumps(odd)))
    assert len(files) == len(odd)
    assert "there is no conversation" in message(
        lambda: import_sessions(in_file(tmp_path, '{"turns": [{"messages": 3}]}')), UsageError
    )


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    assert "cannot read" in message(lambda: import_sessions(tmp_path / "no.jsonl"), UsageError)
    assert "cannot read" in message(lambda: import_sessions(tmp_path), UsageError)
    assert "cannot read" in message(lambda: import_sessions(Path("a\0b")), UsageError)


def test_a_session_file_is_named_as_such() -> None:
    with pytest.raises(UsageError) as caught:
        import_sessions(kept("What is 2 plus 3?"))
    assert "is a session of hermes already" in caught.value.message and "--session FILE" in caught.value.hint


def test_too_large_import_file_is_refused(tmp_path: Path) -> None:
    endless = in_file(tmp_path, "")
    os.truncate(endless, 1 << 30)
    assert "is larger than 512 MiB" in message(lambda: import_sessions(endless), UsageError)


def thoughts(found: Imported) -> list[str]:
    """What the model thought, message by message."""
    return [message.thinking for message in found.conversation.messages if message.thinking]


def said(found: Imported) -> list[tuple[str, str]]:
    """Role and text of every message, the system prompt first."""
    conversation = found.conversation
    return [(one.role, one.content) for one in conversation.messages]


CALL = call_block("get_weather", {"city": "Paris"})
RESULT = response_block("get_weather", {"degrees": 21})
WEATHER = [("user", "Weather in Paris?"), ("assistant", CALL), ("tool", RESULT), ("assistant", "21 degrees.")]


def test_sharegpt_with_a_system_field() -> None:
    found = imported({"system": "You are Vick.", **GPT})
    assert said(found) == [("system", "You are Vick."), ("user", "a"), ("assistant", "b")]
    both = [{"from": "system", "value": "Be brief."}, *GPT["conversations"]]
    assert said(imported({"system": "You are Vick.", "conversations": both}))[0] == (
        "system",
        "You are Vick.\n\nBe brief.",
    )


def test_llama_factory_with_calls_and_observations() -> None:
    said_there = [
        {"from": "human", "value": "Weather in Paris?"},
        {"from": "function_call", "value": '{"name": "get_weather", "arguments": {"city": "Paris"}}'},
        {"from": "observation", "value": '{"degrees": 21}'},
        {"from": "gpt", "value": "21 degrees."},
    ]
    found = imported({"conversations": said_there, "tools": "[{}]", "images": ["a.png", "b.png"]})
    assert said(found) == WEATHER
    assert found.left_out == Counter({"images": 2, "tool definitions": 1})


def test_llama_factory_in_the_form_of_alpaca() -> None:
    value = {
        "instruction": "Translate",
        "input": "Hund",
        "output": "dog",
        "system": "Be brief.",
        "history": [["Hi", "Hello"]],
    }
    assert [text for _, text in said(imported(value))] == ["Be brief.", "Hi", "Hello", "Translate\nHund", "dog"]


def test_openai_with_parts_calls_and_results() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    question = [
        {"type": "text", "text": "Weather "},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "in Paris?"},
    ]
    entries: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": '{"degrees": 21}'},
        {"role": "assistant", "content": "21 degrees.", "reasoning_content": "Easy."},
    ]
    found = imported({"messages": entries})
    assert said(found) == [("system", "Be brief."), *WEATHER]
    assert found.left_out == Counter({"images": 1})
    assert thoughts(found) == ["Easy."]


def test_openai_with_the_old_function_call() -> None:
    entries: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
        },
        {"role": "function", "name": "get_weather", "content": '{"degrees": 21}'},
        {"role": "assistant", "content": "21 degrees."},
    ]
    assert said(imported({"messages": entries})) == WEATHER


def test_a_request_to_ollama_and_the_list_alone(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather in Paris?", "images": ["aGk="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}],
        },
        {"role": "tool", "content": '{"degrees": 21}', "name": "get_weather"},
        {"role": "assistant", "content": "21 degrees.", "thinking": "Easy."},
    ]
    expected = Counter({"images": 1})
    for value in ({"model": "hermes3", "messages": entries}, entries):
        (found,) = conversations_in(in_file(tmp_path, json.dumps(value)))
        assert (said(found), thoughts(found), found.left_out) == (WEATHER, ["Easy."], expected)


def test_anthropics_blocks_keep_calls_and_results() -> None:
    found = imported(
        {
            "system": "S",
            "messages": [
                {"role": "user", "content": "w?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "ok"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "7"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "done"}]},
            ],
        }
    )
    assert [(one.role, one.content) for turn in found.conversation.turns for one in turn.messages] == [
        ("user", "w?"),
        ("assistant", 'ok\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        ("tool", '<tool_response>\n{"name": "f", "content": 7}\n</tool_response>'),
        ("assistant", "done"),
    ]
    assert (found.conversation.system_prompt, +found.left_out) == ("S", {})


def test_the_export_of_claude_and_pairs_of_prompt_and_response() -> None:
    chat = {"name": "T", "chat_messages": [{"sender": "human", "text": "Hi"}, {"sender": "assistant", "text": "Yo"}]}
    for value in (chat, {"prompt": "Hi", "response": "Yo", "system": None}, {"prompt": "Hi", "completion": "Yo"}):
        (turn,) = imported(value).conversation.turns
        assert [(one.role, one.content) for one in turn.messages] == [("user", "Hi"), ("assistant", "Yo")]
    assert imported(chat).title == "T"


def test_a_modelfile_of_ollama(tmp_path: Path) -> None:
    text = '''FROM hermes3
SYSTEM """You are Vick.
Be brief."""
PARAMETER temperature 1
MESSAGE user Hi there
MESSAGE assistant """Hello
"you\"."""
message user "And \\"now\\"?"
'''
    (found,) = conversations_in(in_file(tmp_path, text))
    assert said(found) == [
        ("system", "You are Vick.\nBe brief."),
        ("user", "Hi there"),
        ("assistant", 'Hello\n"you".'),
        ("user", 'And "now"?'),
    ]


def test_the_database_of_ollamas_desktop_program(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(
            """CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT, created_at TIMESTAMP);
            CREATE TABLE messages (id INTEGER PRIMARY KEY, chat_id TEXT, role TEXT, content TEXT, thinking TEXT);
            INSERT INTO chats VALUES ('x', 'Weather', '2026-01-01'), ('y', '', '2026-01-02');
            INSERT INTO messages VALUES (1, 'x', 'user', 'a', ''), (2, 'x', 'assistant', 'b', 'Hm.');"""
        )
    first, second = conversations_in(file)
    assert (said(first), thoughts(first), first.title) == ([("user", "a"), ("assistant", "b")], ["Hm."], "Weather")
    assert not second.conversation.turns


def test_the_export_of_open_webui() -> None:
    nodes: dict[str, dict[str, Any]] = {
        "1": {"id": "1", "parentId": None, "childrenIds": ["2", "3"], "role": "user", "content": "a", "files": [{}]},
        "2": {"id": "2", "parentId": "1", "childrenIds": [], "role": "assistant", "content": "not this"},
        "3": {
            "id": "3",
            "parentId": "1",
            "childrenIds": [],
            "role": "assistant",
            "content": '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> Hm.\n</details>\nb',
        },
    }
    chat = {"title": "Letters", "params": {"system": "Be brief."}, "history": {"messages": nodes, "currentId": "3"}}
    found = imported({"id": "x", "chat": {**chat, "messages": []}})
    assert found.title == "Letters"
    assert said(found) == [("system", "Be brief."), ("user", "a"), ("assistant", "b")]
    assert thoughts(found) == ["Hm."]
    assert found.left_out == Counter({"files": 1, "messages of other branches": 1})


def test_a_conversation_of_lm_studio() -> None:
    user = {"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file"}]}
    steps = [
        {"type": "contentBlock", "content": [{"type": "text", "text": "Hm."}], "style": {"type": "thinking"}},
        {"type": "contentBlock", "content": [{"type": "text", "text": "b"}]},
        {"type": "debugInfoBlock", "debugInfo": "x"},
    ]
    answers = [{"type": "multiStep", "role": "assistant", "steps": []}, {"role": "assistant", "steps": steps}]
    entries = [{"versions": [user], "currentlySelected": 0}, {"versions": answers, "currentlySelected": 1}]
    found = imported({"name": "Letters", "systemPrompt": "Be brief.", "messages": entries})
    assert found.title == "Letters"
    assert said(found) == [("system", "Be brief."), ("user", "a"), ("assistant", "b")]
    assert thoughts(found) == ["Hm."]
    assert found.left_out == Counter({"files": 1})


def test_the_export_of_chatgpt() -> None:
    def node(parent: str | None, role: str, *parts: Any, kind: str = "text") -> dict[str, Any]:
        return {
            "parent": parent,
            "message": {"author": {"role": role}, "content": {"content_type": kind, "parts": parts}},
        }

    nodes = {
        "root": {"parent": None, "message": None},
        "0": node("root", "system", ""),
        "1": node("0", "user", {"content_type": "image_asset_pointer"}, "a"),
        "2": node("1", "assistant", "b"),
        "3": node("1", "assistant", "not this"),
    }
    value = json.loads(json.dumps({"title": "Letters", "mapping": nodes, "current_node": "2"}))
    assert imported(value) == Imported(AB, "Letters", Counter({"images": 1, "messages of other branches": 1}))


def test_thinking_stays_a_part_of_its_own(sessions: Path, tmp_path: Path) -> None:
    def of_chatgpt(parent: str | None, role: str, content: dict[str, Any]) -> dict[str, Any]:
        return {"parent": parent, "message": {"author": {"role": role}, "content": content}}

    nodes = {
        "1": of_chatgpt(None, "user", {"content_type": "text", "parts": ["a"]}),
        "2": of_chatgpt(
            "1", "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "S", "content": "Hm."}]}
        ),
        "3": of_chatgpt("2", "assistant", {"content_type": "reasoning_recap", "content": "Thought for 5s"}),
        "4": of_chatgpt("3", "assistant", {"content_type": "text", "parts": ["b"]}),
    }
    in_text = {
        "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "<think>\nHm.\n</think>\n\nb"}]
    }
    for value in ({"mapping": nodes, "current_node": "4"}, in_text):
        found = imported(value)
        assert (said(found), thoughts(found), +found.left_out) == (
            [("user", "a"), ("assistant", "b")],
            ["Hm."],
            Counter(),
        )
    ((path,), _) = import_sessions(in_file(tmp_path, json.dumps(in_text)))
    assert read_session(path).conversation.messages[1].thinking == "Hm."
    ((again,), _) = import_sessions(in_file(tmp_path, as_json(read_session(path))))
    assert read_session(again).conversation.messages[1].thinking == "Hm."
    exported = as_sharegpt(read_session(path))
    assert json.loads(exported) == in_text
    found = imported(json.loads(exported))
    assert (said(found), thoughts(found)) == ([("user", "a"), ("assistant", "b")], ["Hm."])


def test_our_own_json_comes_back(sessions: Path, tmp_path: Path) -> None:
    saved = read_session(kept("hello", "again", title="Greetings"))
    ((path,), left_out) = import_sessions(in_file(tmp_path, as_json(saved)))
    again = read_session(path)
    assert (again.title, not left_out) == ("Greetings", True)
    assert [one.content for one in again.conversation.messages] == [one.content for one in saved.conversation.messages]


def test_empty_conversations_are_counted(sessions: Path, tmp_path: Path) -> None:
    ((path,), left_out) = import_sessions(in_file(tmp_path, json.dumps([CHAT, {"messages": []}])))
    assert read_session(path).conversation == AB
    assert left_out == Counter({"empty conversations": 1})
