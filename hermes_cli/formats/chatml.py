"""ChatML, the format Hermes was trained on.

A turn is `<|im_start|>role`, a newline, the content, `<|im_end|>` and a newline. The markers are the only
special segments, so no content can open or close a turn. Nothing is invented: without a system message there is none.
"""

from collections.abc import Iterable

from hermes_cli.chat.message import Message
from hermes_cli.formats.segment import Segment, merged

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
MARKERS = (TURN_START, TURN_END)


def write(messages: Iterable[Message], *, reply: bool = True) -> tuple[Segment, ...]:
    """The conversation as ChatML, without BOS; with `reply` it ends where the assistant's answer starts."""
    segments: list[Segment] = []
    for message in messages:
        segments += [
            Segment(TURN_START, special=True),
            Segment(f"{message.role}\n{message.content}"),
            Segment(TURN_END, special=True),
            Segment("\n"),
        ]
    if reply:
        segments += [Segment(TURN_START, special=True), Segment("assistant\n")]
    return merged(segments)
