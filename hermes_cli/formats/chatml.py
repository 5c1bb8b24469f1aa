"""ChatML, the format Hermes was trained on.

A turn is `<|im_start|>role`, a newline, the content, `<|im_end|>` and a newline. The markers, and tags that the
vocabulary has tokens for, are the only special segments, so no content can open or close a turn. Nothing is invented:
without a system message there is none.
"""

from collections.abc import Collection, Iterable

from hermes_cli.chat.message import Message
from hermes_cli.formats.segment import Segment, merged
from hermes_cli.formats.tagged import tagged

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
MARKERS = (TURN_START, TURN_END)


def write(messages: Iterable[Message], *, reply: bool = True, tags: Collection[str] = ()) -> tuple[Segment, ...]:
    """The conversation as ChatML, without BOS; with `reply` it ends where the assistant's answer starts.

    `tags` of the trained prompts are special segments where they are not content.
    """
    segments: list[Segment] = []
    for message in messages:
        segments += [
            Segment(TURN_START, special=True),
            Segment(f"{message.role}\n"),
            *tagged(message, tags),
            Segment(TURN_END, special=True),
            Segment("\n"),
        ]
    if reply:
        segments += [Segment(TURN_START, special=True), Segment("assistant\n")]
    return merged(segments)
