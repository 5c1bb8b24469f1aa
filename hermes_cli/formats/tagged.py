"""Messages split into content and the tags of a format, for vocabularies in which these tags are tokens.

A tag counts only if the format wrote it: in the system prompt, in answers and around tool results. In what
users write, in tool descriptions and inside results, a tag is only text.
"""

import re
from collections.abc import Collection, Iterator

from hermes_cli.chat.message import Message
from hermes_cli.formats.function_calling import tools_listing
from hermes_cli.formats.segment import Segment
from hermes_cli.formats.tags import RESPONSE_END, RESPONSE_START

_FRAME = re.compile(f"^(?:{RESPONSE_START}|{RESPONSE_END})$", re.MULTILINE)


def tagged(message: Message, tags: Collection[str]) -> Iterator[Segment]:
    """The content of a message; those of `tags` that are not content are special."""
    if not tags or message.role == "user" or (message.role == "tool" and not message.tool_results):
        yield Segment(message.content)
    elif message.role == "tool":
        yield from _split(_FRAME, message.content, tags)
    else:
        anywhere = re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))))
        listing = tools_listing(message.tools, message.content)
        before, _, after = message.content.partition(listing) if listing else ("", "", message.content)
        yield from _split(anywhere, before, tags)
        yield Segment(listing)
        yield from _split(anywhere, after, tags)


def _split(pattern: "re.Pattern[str]", text: str, tags: Collection[str]) -> Iterator[Segment]:
    at = 0
    for found in pattern.finditer(text):
        if found[0] in tags:
            yield Segment(text[at : found.start()])
            yield Segment(found[0], special=True)
            at = found.end()
    yield Segment(text[at:])
