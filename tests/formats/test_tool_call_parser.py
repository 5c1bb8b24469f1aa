"""Tool calls in a stream: what counts as a call, what is only text, and that cutting the text makes no difference."""

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.formats.function_calling import call_block
from hermes_cli.formats.tool_call_parser import CallEvent, ToolCallParser

TSLA = ToolCall("get_stock_fundamentals", {"symbol": "TSLA"})
F = ToolCall("f", {"x": 1})


def parsed(pieces: Iterable[str], *, ended: bool = True) -> list[CallEvent]:
    """The events of a whole answer, neighbouring text joined."""
    parser = ToolCallParser()
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish(ended=ended)
    joined: list[CallEvent] = []
    for event in events:
        assert event != ""
        if isinstance(event, str) and joined and isinstance(joined[-1], str):
            joined[-1] += event
        else:
            joined.append(event)
    return joined


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


# Whole answers and what is in them; a broken call stands for itself by its text alone.
CASES: dict[str, tuple[str, list[CallEvent]]] = {
    "no text": ("", []),
    "only text": ("Hello <b>there</b>.", ["Hello <b>there</b>."]),
    "untagged JSON": ('{"name": "f", "arguments": {"x": 1}}', ['{"name": "f", "arguments": {"x": 1}}']),
    "another tag": ('<tool>{"name": "f"}</tool>', ['<tool>{"name": "f"}</tool>']),
    "half a tag": ("a <tool_call", ["a <tool_call"]),
    "closing tag alone": ("a </tool_call> b", ["a </tool_call> b"]),
    "name first": ('<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>', [F]),
    "as on the model card": (
        '<tool_call>\n{"arguments": {"symbol": "TSLA"}, "name": "get_stock_fundamentals"}\n</tool_call>',
        [TSLA],
    ),
    "Python quotes": ("<tool_call>\n{'name': 'f', 'arguments': {'x': 1}}\n</tool_call>", [F]),
    "Python values": (
        "<tool_call>{'name': 'f', 'arguments': {'a': True, 'b': None, 'c': (1, 'it\\'s')}}</tool_call>",
        [ToolCall("f", {"a": True, "b": None, "c": [1, "it's"]})],
    ),
    "an apostrophe in JSON": (
        '<tool_call>{"name": "f", "arguments": {"q": "what\'s up"}}</tool_call>',
        [ToolCall("f", {"q": "what's up"})],
    ),
    "arguments as JSON text": ('<tool_call>{"name": "f", "arguments": "{\\"x\\": 1}"}</tool_call>', [F]),
    "parameters": ('<tool_call>{"name": "f", "parameters": {"x": 1}}</tool_call>', [F]),
    "no arguments": ('<tool_call>{"name": "f"}</tool_call>', [ToolCall("f", {})]),
    "null arguments": ('<tool_call>{"name": "f", "arguments": null}</tool_call>', [ToolCall("f", {})]),
    "text around and between": (
        'Before\n<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>\nand\n'
        '<tool_call>{"name": "g"}</tool_call> after',
        ["Before\n", F, "\nand\n", ToolCall("g", {}), " after"],
    ),
    "a closing tag in a string": (
        '<tool_call>{"name": "f", "arguments": {"q": "</tool_call> \\" </tool_call>"}}</tool_call>.',
        [ToolCall("f", {"q": '</tool_call> " </tool_call>'}), "."],
    ),
    "an opening tag in a string": (
        '<tool_call>{"name": "f", "arguments": {"q": "<tool_call>"}}</tool_call>',
        [ToolCall("f", {"q": "<tool_call>"})],
    ),
    "a closing tag in a Python string": (
        "<tool_call>{'name': 'f', 'arguments': {'q': \"it's </tool_call>\"}}</tool_call>",
        [ToolCall("f", {"q": "it's </tool_call>"})],
    ),
    "two objects in one block": (
        '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n{"name": "g"}\n</tool_call>',
        [F, ToolCall("g", {})],
    ),
    "no closing tag before the next call": (
        '<tool_call>{"name": "f", "arguments": {"x": 1}}\n<tool_call>{"name": "g"}</tool_call>',
        [F, ToolCall("g", {})],
    ),
    "no closing tag at the end": ('<tool_call>{"name": "f", "arguments": {"x": 1}}\n', [F]),
    "a line break in a string": (
        '<tool_call>{"name": "f", "arguments": {"q": "a\nb"}}</tool_call>',
        [ToolCall("f", {"q": "a\nb"})],
    ),
    "a scratch pad": (
        '<scratch_pad>\nGoal: {"name": "g"}\n</scratch_pad>\n' + call_block("f", {"x": 1}),
        ['<scratch_pad>\nGoal: {"name": "g"}\n</scratch_pad>\n', F],
    ),
    "letters outside ASCII": (
        '<tool_call>{"name": "f", "arguments": {"q": "Größe \\u00e9 😀"}}</tool_call>',
        [ToolCall("f", {"q": "Größe é 😀"})],
    ),
}

BROKEN = {
    "empty": "<tool_call>\n</tool_call>",
    "cut off": '<tool_call>{"name": "f", "arguments": {"x": ',
    "cut off in a string": '<tool_call>{"name": "f", "arguments": {"x": "a</tool_call> b',
    "no JSON": "<tool_call>f(1)</tool_call>",
    "a list": '<tool_call>["f"]</tool_call>',
    "no name": '<tool_call>{"arguments": {}}</tool_call>',
    "a name that is no text": '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
    "arguments in a list": '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
    "arguments as other text": '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
    "something after the object": '<tool_call>{"name": "f"}}</tool_call>',
    "not a number": '<tool_call>{"name": "f", "arguments": {"x": NaN}}</tool_call>',
    "endless": '<tool_call>{"name": "f", "arguments": {"x": 1e999}}</tool_call>',
    "half a character": '<tool_call>{"name": "f", "arguments": {"x": "\\ud800"}}</tool_call>',
    "deep JSON": "<tool_call>" + '{"a":' * 5000 + "</tool_call>",
    "deep Python": "<tool_call>{'a':" + "[" * 5000 + "</tool_call>",
    "a Python expression": "<tool_call>{'name': __import__('os').getcwd()}</tool_call>",
    "bytes": "<tool_call>{'name': b'f'}</tool_call>",
    "a huge number": '<tool_call>{"name": "f", "arguments": {"x": ' + "9" * 6000 + "}}</tool_call>",
    "an unknown escape in Python": "<tool_call>{'name': '\\d', 5: 6}</tool_call>",
}


@pytest.mark.parametrize("name", CASES)
def test_every_cut_gives_the_calls_and_the_text(name: str) -> None:
    text, expected = CASES[name]
    for size in (1, 2, 3, 5, 11, 12, max(len(text), 1)):
        assert parsed(cut(text, size)) == expected
    for at in range(len(text)):
        assert parsed([text[:at], "", text[at:]]) == expected


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_a_broken_call_whatever_the_cut(name: str) -> None:
    text = BROKEN[name]
    whole = parsed([text])
    assert [type(event) for event in whole] == [BrokenCall]
    assert parsed(cut(text, 7)) == whole
    assert parsed(text) == whole


def test_a_broken_call_says_what_is_wrong_and_what_is_right() -> None:
    (broken,) = parsed(['<tool_call>{"name": "f", "arguments": {"x" 1}}</tool_call>'])
    assert isinstance(broken, BrokenCall)
    assert broken.text == '{"name": "f", "arguments": {"x" 1}}'
    assert "Expecting ':'" in broken.problem
    assert '{"name": <function-name>, "arguments": <args-dict>}' in broken.problem


def test_a_call_beside_a_broken_one_counts() -> None:
    text = "<tool_call>{oops</tool_call>" + call_block("f", {"x": 1})
    assert [type(event) for event in parsed(text)] == [BrokenCall, ToolCall]


@pytest.mark.parametrize("text", ['<tool_call>{"name": "f", "arguments": {"x": 1}}', '<tool_call>{"name": "f"'])
def test_an_answer_that_was_cut_never_ends_in_a_call(text: str) -> None:
    (broken,) = parsed([text], ended=False)
    assert isinstance(broken, BrokenCall)
    assert broken.problem.startswith("the call was cut off")


def test_text_comes_at_once_but_for_what_may_begin_a_tag() -> None:
    parser = ToolCallParser()
    assert parser.feed("Hello <tool") == ["Hello "]
    assert parser.feed("box> and") == ["<toolbox> and"]
    assert parser.feed(" x <") == [" x "]
    assert parser.finish() == ["<"]


def test_a_call_comes_as_soon_as_its_tag_is_closed() -> None:
    parser = ToolCallParser()
    assert parser.feed('<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call') == []
    assert parser.feed(">") == [F]


pieces = st.lists(
    st.sampled_from(
        [
            *(
                "<tool_call>",
                "</tool_call>",
                '{"name": "f", ',
                '"arguments": {',
                "}}",
                '"',
                "'",
                "\\",
                '"</tool_call>"',
            ),
            *(call_block("f", {"x": 1}), "\n", " ", "text", "<", ">", "</", "{'name': 'g'}"),
        ]
    ),
    max_size=14,
)


@given(pieces, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_gives_the_same_events_however_it_is_cut(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    rest, cuts = text, []
    for size in itertools.cycle(sizes):
        if not rest:
            break
        cuts.append(rest[:size])
        rest = rest[size:]
    assert parsed(cuts) == parsed([text]) == parsed(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["</tool_call>", "<tool_call>", "'", '"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=3), st.sampled_from([json.dumps, repr]), st.integers(1, 20))
def test_every_call_that_is_written_is_read_back(arguments: dict[str, object], write: object, size: int) -> None:
    assert callable(write)
    text = f"a<tool_call>\n{write({'arguments': arguments, 'name': 'f'})}\n</tool_call>b"
    assert parsed(cut(text, size)) == ["a", ToolCall("f", arguments), "b"]
    assert parsed(cut(call_block("f", arguments), size)) == [ToolCall("f", arguments)]
