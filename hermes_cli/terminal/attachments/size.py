"""How much of the context attachments take."""

from collections.abc import Sequence
from contextlib import suppress

from hermes_cli.backend import Backend
from hermes_cli.chat.message import Message
from hermes_cli.errors import HermesError
from hermes_cli.terminal.attachments.attachment import Attachment

_CHARACTERS_PER_TOKEN = 4
_COUNTED_CHARACTERS = 1 << 20  # above, counting takes seconds


def tokens(texts: Sequence[str], backend: Backend | None) -> tuple[int, bool]:
    """The number of tokens of texts, and whether it was counted; without a backend it is estimated."""
    whole = "\n\n".join(texts)
    if backend and len(whole) <= _COUNTED_CHARACTERS:
        with suppress(HermesError):  # a template that refuses the message reports it when it is sent
            empty = backend.count_tokens((Message("user", ""),))
            return backend.count_tokens((Message("user", whole),)) - empty, backend.info.exact_token_counts
    return -(-len(whole) // _CHARACTERS_PER_TOKEN), False


def size_line(attachments: Sequence[Attachment], backend: Backend | None) -> str:
    """Names and size: `notes.txt, 310 tokens`, or `12 files, about 8,100 tokens`."""
    count, counted = tokens([one.wrapped for one in attachments], backend)
    name = attachments[0].name if len(attachments) == 1 else f"{len(attachments)} files"
    return f"{name}, {'' if counted else 'about '}{count:,} token{'s' * (count != 1)}"
