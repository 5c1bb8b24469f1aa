"""ChatML, the format Hermes was trained on.

A turn is `<|im_start|>role`, a newline, the content, `<|im_end|>` and a newline. The markers, and tags that the
vocabulary has tokens for, are the only special segments, so no content can open or close a turn. Nothing is invented:
without a system message there is none.
"""

import hashlib
from collections.abc import Collection, Iterable

from hermes_cli.chat.message import Message
from hermes_cli.formats.segment import Segment, merged
from hermes_cli.formats.tagged import tagged

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
MARKERS = (TURN_START, TURN_END)
# Templates known to write ChatML, by the SHA-256 of their text: those of Hermes 3 and of the demo model.
_KNOWN = frozenset(
    {
        "9ff2eb30a1d3e937a88108d74b1ab940891be58aa742be4e8c0ce1c1ad90588e",
        "a805e50fed68938a076b07e2e602639611b50b1ced0e50f11eb92f1ba25be4dc",
    }
)


def is_known_chatml(source: str) -> bool:
    """Whether this is the source of a template known to write ChatML, for which Jinja need not be loaded."""
    return hashlib.sha256(source.encode()).hexdigest() in _KNOWN


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
