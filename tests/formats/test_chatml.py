"""ChatML: byte for byte the text that Hermes reads; no content can forge a marker."""

import hashlib
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.chat.message import Message
from hermes_cli.formats import chatml
from hermes_cli.formats.function_calling import call_block, response_block
from hermes_cli.formats.segment import Segment, joined

_MARKER_PARTS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|im_",
    "start|>",
    "end|>",
    "<|",
    "|>",
    "system\n",
    "\n",
    "\0",
    "é",
    "🜁",
]
hostile = st.lists(st.sampled_from(_MARKER_PARTS) | st.text(max_size=3), max_size=8).map("".join)
roles = st.sampled_from(["system", "user", "assistant", "tool"])
conversations = st.lists(st.builds(Message, role=roles, content=hostile), max_size=6)


def test_the_template_compared_with_is_the_published_one(reference: Callable[[str], str]) -> None:
    digest = hashlib.sha256(reference("hermes3_default.jinja").encode()).hexdigest()
    assert digest == "9ff2eb30a1d3e937a88108d74b1ab940891be58aa742be4e8c0ce1c1ad90588e"


@given(system=hostile, rest=conversations, reply=st.booleans())
def test_a_conversation_with_a_system_prompt_is_what_the_models_template_writes(
    reference: Callable[[str], str], hugging_face: Callable[..., str], system: str, rest: list[Message], reply: bool
) -> None:
    messages = [Message("system", system), *rest]
    expected = hugging_face(
        reference("hermes3_default.jinja"),
        messages=[{"role": message.role, "content": message.content} for message in messages],
        bos_token="",
        add_generation_prompt=reply,
    )
    assert joined(chatml.write(messages, reply=reply)) == expected


@given(messages=conversations, reply=st.booleans())
def test_no_content_can_open_or_close_a_turn(messages: list[Message], reply: bool) -> None:
    segments = chatml.write(messages, reply=reply)
    markers = [segment.text for segment in segments if segment.special]
    assert markers == [chatml.TURN_START, chatml.TURN_END] * len(messages) + [chatml.TURN_START] * reply

    turns = [f"{message.role}\n{message.content}" for message in messages] + ["assistant\n"] * reply
    opened = [after.text for before, after in pairwise(segments) if before == Segment(chatml.TURN_START, special=True)]
    assert opened == turns


@given(messages=conversations, more=conversations)
def test_a_longer_conversation_starts_with_the_shorter_one(messages: list[Message], more: list[Message]) -> None:
    short, long = joined(chatml.write(messages, reply=False)), joined(chatml.write(messages + more, reply=False))
    assert long.startswith(short)


def test_without_a_system_prompt_none_is_invented() -> None:
    assert chatml.write([Message("user", "Hi")]) == (
        Segment("<|im_start|>", special=True),
        Segment("user\nHi"),
        Segment("<|im_end|>", special=True),
        Segment("\n"),
        Segment("<|im_start|>", special=True),
        Segment("assistant\n"),
    )


def test_text_beside_a_tool_call_is_kept() -> None:
    content = "Let me look.\n" + call_block("get_weather", {"city": "Oslo"})
    assert content in joined(chatml.write([Message("user", "Weather?"), Message("assistant", content)]))


def test_a_tool_result_has_its_own_turn_wherever_it_stands() -> None:
    result = Message("tool", response_block("get_weather", 7))
    turn = f"<|im_start|>tool\n{result.content}<|im_end|>\n"
    assert joined(chatml.write([result], reply=False)) == turn
    assert joined(chatml.write([Message("assistant", "a"), result, result], reply=False)).endswith(turn + turn)
    assert joined(chatml.write([result])) == turn + "<|im_start|>assistant\n"


def test_an_empty_conversation_is_only_the_start_of_an_answer() -> None:
    assert joined(chatml.write([])) == "<|im_start|>assistant\n"
    assert chatml.write([], reply=False) == ()


def test_contents_are_never_trimmed() -> None:
    assert "user\n \n hi\t\n<|im_end|>" in joined(chatml.write([Message("user", " \n hi\t\n")]))
