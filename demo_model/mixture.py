"""The training mixture: how often each kind of conversation occurs."""

from collections.abc import Callable
from itertools import accumulate

from demo_model.conversation import Conversation
from demo_model.dialogues import chat_conversation, followed, opening, recall
from demo_model.documents import long_lookup
from demo_model.json_conversations import JSON_CONVERSATIONS
from demo_model.source import Source
from demo_model.tool_conversations import TOOL_CONVERSATIONS
from demo_model.turns import Chat

Generator = Callable[[Source], Conversation]


def long_document(source: Source) -> Conversation:
    chat = Chat(source)
    chat.say(*long_lookup(source))
    return chat.conversation()


def _shared(kinds: tuple[tuple[Generator, float], ...], share: float) -> list[tuple[Generator, float]]:
    total = sum(weight for _, weight in kinds)
    return [(generator, share * weight / total) for generator, weight in kinds]


MIXTURE = [
    (chat_conversation, 40.0), (opening, 8.0), (recall, 8.0), (followed, 4.0), (long_document, 0.7),
    *_shared(JSON_CONVERSATIONS, 18.0), *_shared(TOOL_CONVERSATIONS, 38.0),
]  # fmt: skip
_GENERATORS = [generator for generator, _ in MIXTURE]
_CUMULATIVE = list(accumulate(weight for _, weight in MIXTURE))


def conversation(source: Source) -> Conversation:
    return source.weighted(_GENERATORS, _CUMULATIVE)(source)
