"""Thinking apart from the answer, however the text is cut."""

from collections.abc import Generator

import pytest

from hermes_cli.chat.events import Finished, GenerationEvent, TextDelta, Timings, TokenLogprob, Usage
from hermes_cli.formats.thinking import ThinkingParser, Thought, opens_thinking, thinking_apart, without_thinking

CASES: dict[str, tuple[str, str, str]] = {
    "no thinking": ("Hello.", "", "Hello."),
    "white space first": ("\n Hello.", "", "\n Hello."),
    "thinking": ("<think>\nHm.\n</think>\n\nHello.", "Hm.", "Hello."),
    "white space before the tag": ("\n<think>Hm. </think> Hello.\n", "Hm.", "Hello.\n"),
    "a code block in either": (
        "<think>\n```\ndraft\n```\n</think>\n```\nfinal\n```\n",
        "```\ndraft\n```",
        "```\nfinal\n```\n",
    ),
    "no end": ("<think>Hm. And", "Hm. And", ""),
    "nothing thought": ("<think>\n\n</think>\n\nHello.", "", "Hello."),
    "nothing but thinking": ("<think>Hm.</think>\n", "Hm.", ""),
    "half a tag": ("<thin", "", "<thin"),
    "half a closing tag": ("<think>a </th", "a </th", ""),
    "another tag": ("<thinking>a</thinking>", "", "<thinking>a</thinking>"),
    "a mention": ("The <think> tag, </think>.", "", "The <think> tag, </think>."),
    "the tags again in the answer": ("<think>a</think>b <think>c</think>", "a", "b <think>c</think>"),
    "the opening tag in the thinking": ("<think>a <think> b</think>c", "a <think> b", "c"),
}


@pytest.mark.parametrize("name", CASES)
def test_thinking_and_answer_are_the_same_however_the_text_is_cut(name: str) -> None:
    text, thinking, answer = CASES[name]
    assert without_thinking(text) == (thinking, answer)
    for size in range(1, len(text)):
        assert parsed(ThinkingParser(), text, size) == (thinking, answer)


def test_an_answer_may_begin_inside_of_thinking() -> None:
    for size in range(1, 20):
        for opening in ("", "<think>", "\n<think>\n"):
            said = f"{opening}\nHm. So.\n</think>\n\nHello."
            assert parsed(ThinkingParser(inside=True), said, size) == ("Hm. So.", "Hello.")
        assert parsed(ThinkingParser(inside=True), " <thi", size) == ("<thi", "")
        assert parsed(ThinkingParser(inside=True), "  ", size) == ("", "")


@pytest.mark.parametrize("pieces", [["\n", " ", "Hi", "!"], ["<", "b>", "Hi"], ["Hi"], ["\n", "<thi"]])
def test_every_token_of_the_text_keeps_its_log_probability(pieces: list[str]) -> None:
    def events() -> Generator[GenerationEvent]:
        for number, piece in enumerate(pieces):
            yield TextDelta(piece, (TokenLogprob(number, piece.encode(), -1.0),))
        yield Finished("stop", Usage(), Timings(), 0, 0)

    deltas = [event for event in thinking_apart(events()) if isinstance(event, TextDelta)]
    assert [token.piece.decode() for delta in deltas for token in delta.tokens] == pieces


def parsed(parser: ThinkingParser, text: str, size: int) -> tuple[str, str]:
    """The thinking and the answer of a text that comes in pieces."""
    found = [one for at in range(0, len(text), size) for one in parser.feed(text[at : at + size])] + parser.finish()
    assert all(one.text if isinstance(one, Thought) else one for one in found), "pieces are never empty"
    thinking = "".join(one.text for one in found if isinstance(one, Thought))
    return thinking, "".join(one for one in found if isinstance(one, str))


def test_a_prompt_that_opens_thinking_is_found() -> None:
    assert opens_thinking("<|im_start|>assistant\n<think>\n")
    assert not opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n")
