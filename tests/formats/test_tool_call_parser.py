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
    "ReAct": ('<tool_call>{"action": "f", "action_input": {"x": 1}}</tool_call>', [F]),
    "tool and params": ('<tool_call>{"tool": "f", "params": {"x": 1}}</tool_call>', [F]),
    "tool_name and tool_input": ('<tool_call>{"tool_name": "f", "tool_input": {"x": 1}}</tool_call>', [F]),
    "a call in tool_call": ('<tool_call>{"tool_call": {"name": "f", "arguments": {"x": 1}}}</tool_call>', [F]),
    "an underscore escaped for Markdown": ('<tool_call>{"name": "g\\\\_h"}</tool_call>', [ToolCall("g_h", {})]),
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
    "a mention": (
        "Wrap it in <tool_call> tags, the answer is 4.",
        ["Wrap it in <tool_call> tags, the answer is 4."],
    ),
    "a mention of both tags": (
        "Write it between <tool_call> and </tool_call>, or <tool_call></tool_call>: 4",
        ["Write it between <tool_call> and </tool_call>, or <tool_call></tool_call>: 4"],
    ),
    "a mention in Markdown": ("The `<tool_call>` tag.", ["The `<tool_call>` tag."]),
    "a mention, then a call": (
        "A <tool_call> comes:\n<tool_call>" + '{"name": "g"}</tool_call>',
        ["A <tool_call> comes:\n", ToolCall("g", {})],
    ),
    "a call, then a mention": (
        '<tool_call>{"name": "g"}</tool_call> Done with <tool_call>.',
        [ToolCall("g", {}), " Done with <tool_call>."],
    ),
    "braces behind a mention": ("<tool_call> {braces} [1]", ["<tool_call> {braces} [1]"]),
    "no JSON": ("<tool_call>f(1)</tool_call>", ["<tool_call>f(1)</tool_call>"]),
    "a list of text": ('<tool_call>["f"]</tool_call>', ['<tool_call>["f"]</tool_call>']),
    "a code fence": (
        '<tool_call>\n```json\n{"name": "f", "arguments": {"x": 1}}\n```\n</tool_call>',
        [F],
    ),
    "a code fence without a language": ('<tool_call>```\n{"name": "f", "parameters": {"x": 1}}```</tool_call>', [F]),
    "a list of calls": (
        '<tool_call>[{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]</tool_call>',
        [F, ToolCall("g", {})],
    ),
    "commas between objects": (
        '<tool_call>{"name": "f", "arguments": {"x": 1}},\n{"name": "g", "arguments": {}},</tool_call>',
        [F, ToolCall("g", {})],
    ),
    "a brace too many": ('<tool_call>{"name": "f", "arguments": {"x": 1}}}</tool_call>', [F]),
    "a brace too many before the arguments": (
        '<tool_call>{"name": "f"}, "arguments": {"x": 1}}</tool_call>',
        [F],
    ),
    "a brace too few": ('<tool_call>\n{"name": "f", "arguments": {"x": 1}\n</tool_call>', [F]),
    "two braces too few": ('<tool_call>{"name": "f", "arguments": {"x": 1</tool_call> Bye', [F, " Bye"]),
    "a brace too few before the next object": (
        '<tool_call>{"name": "f", "arguments": {"x": 1}\n{"name": "g", "arguments": {}}</tool_call>',
        [F, ToolCall("g", {})],
    ),
    "a bracket too few": ('<tool_call>[{"name": "f", "arguments": {"x": 1}}</tool_call>', [F]),
    "a trailing comma": ('<tool_call>{"name": "f", "arguments": {"x": 1,},}</tool_call>', [F]),
    "typographic quotes": ("<tool_call>{“name”: “f”, “arguments”: {“x”: 1}}</tool_call>", [F]),
    "typographic quotes in a string": (
        '<tool_call>{"name": "f", "arguments": {"q": "“it’s”"}}</tool_call>',
        [ToolCall("f", {"q": "“it’s”"})],
    ),
    "typographic single quotes": ("<tool_call>{‘name’: ‘f’, ‘arguments’: {‘x’: 1}}</tool_call>", [F]),
    "keys without quotes": ('<tool_call>{name: "f", arguments: {x: 1}}</tool_call>', [F]),
    "OpenAI's form": (
        '<tool_call>{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}</tool_call>',
        [F],
    ),
    "OpenAI's form with a text of arguments": (
        '<tool_call>{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\\"x\\": 1}"}}'
        "</tool_call>",
        [F],
    ),
    "OpenAI's list": (
        '<tool_call>{"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}</tool_call>',
        [F],
    ),
    "the arguments beside OpenAI's function": (
        '<tool_call>{"function": {"name": "f"}, "arguments": {"x": 1}}</tool_call>',
        [F],
    ),
    "args": ('<tool_call>{"name": "f", "args": {"x": 1}}</tool_call>', [F]),
    "null arguments beside parameters": (
        '<tool_call>{"name": "f", "arguments": null, "parameters": {"x": 1}}</tool_call>',
        [F],
    ),
    "an empty text of arguments": ('<tool_call>{"name": "g", "arguments": ""}</tool_call>', [ToolCall("g", {})]),
    "text behind the object": (
        '<tool_call>{"name": "f", "arguments": {"x": 1}} Let me see.</tool_call>',
        [F, "Let me see."],
    ),
    "no closing tag, but text": (
        '<tool_call>{"name": "f", "arguments": {"x": 1}}\nThe answer is 4.',
        [F, "The answer is 4."],
    ),
    "an opening tag instead of the closing one": ('<tool_call>{"name": "f", "arguments": {"x": 1}}<tool_call>', [F]),
    "an escape that Python keeps": (
        "<tool_call>{'name': 'f', 'arguments': {'q': '\\d\\x41'}}</tool_call>",
        [ToolCall("f", {"q": "\\dA"})],
    ),
    "letters outside ASCII": (
        '<tool_call>{"name": "f", "arguments": {"q": "Größe \\u00e9 😀"}}</tool_call>',
        [ToolCall("f", {"q": "Größe é 😀"})],
    ),
}

BROKEN = {
    "two objects in the arguments": '<tool_call>{"name": "f", "arguments": "{\\"x\\": 1} {\\"x\\": 2}"}</tool_call>',
    "arguments beside the name": '<tool_call>{"name": "f", "x": 1}</tool_call>',
    "two kinds of arguments": '<tool_call>{"name": "f", "arguments": {"x": 1}, "parameters": {"x": 2}}</tool_call>',
    "a list that ends too early": '<tool_call>{"name": "f", "arguments": {"x": [1</tool_call>',
    "an object where a key belongs": '<tool_call>{"name": "f" {"x": 1}}</tool_call>',
    "a name in a fence": "<tool_call>```json\n{'name' f}\n```</tool_call>",
    "cut off": '<tool_call>{"name": "f", "arguments": {"x": ',
    "no name": '<tool_call>{"arguments": {}}</tool_call>',
    "a name that is not a text": '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
    "arguments in a list": '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
    "arguments as other text": '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
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


STRAY = {
    "a quote too many": '{"name": "a", "arguments": {"x": "it"s"}}',
    "a quote too few": '{"name": "a", "arguments": {"x": "its}}',
    "a quote too few in a name": '{"name: "a", "arguments": {}}',
    "a Python quote too many": "{'name': 'a', 'arguments': {'x': 'it's'}}",
    "a typographic quote that is closed by another": '{"name": “a", "arguments": {}}',
}


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_quote_swallows_neither_the_next_call_nor_the_text(name: str) -> None:
    text = f"Hi <tool_call>{STRAY[name]}</tool_call> and " + call_block("f", {"x": 1}) + " Bye."
    before, broken, between, *rest = parsed([text])
    assert (before, between, rest) == ("Hi ", " and ", [F, " Bye."])
    assert isinstance(broken, BrokenCall) and broken.text == STRAY[name]
    assert parsed(text) == parsed(cut(text, 7)) == parsed([text])


def test_a_stray_quote_in_the_last_call_keeps_the_text_behind_it() -> None:
    broken, after = parsed(['<tool_call>{"name": "f", "arguments": {"x": "a</tool_call> b'])
    assert isinstance(broken, BrokenCall)
    assert after == " b"


def test_a_broken_call_says_what_is_wrong_and_what_is_right() -> None:
    (broken,) = parsed(['<tool_call>{"name": "f", "arguments": {"x" 1}}</tool_call>'])
    assert isinstance(broken, BrokenCall)
    assert broken.text == '{"name": "f", "arguments": {"x" 1}}'
    assert "Expecting ':'" in broken.problem
    assert '{"name": <function-name>, "arguments": <args-dict>}' in broken.problem


def test_a_call_beside_a_broken_one_counts() -> None:
    text = '<tool_call>{"oops</tool_call>' + call_block("f", {"x": 1})
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
