"""Which turns still fit into the model's window."""

from collections.abc import Callable

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message

_MOST_RESERVED_TOKENS = 1024


def reserved_tokens(window: int, max_tokens: int | None) -> int:
    """How much of the window an answer should find free: what it may take, within a quarter of the window."""
    return min(max_tokens or _MOST_RESERVED_TOKENS, window // 4)


def turns_to_leave_out(
    conversation: Conversation, question: Message, room_tokens: int, count: Callable[[tuple[Message, ...]], int]
) -> tuple[Turn, ...]:
    """The oldest turns that must go so that `question` still fits in; none if it fits, or could not fit at all.

    Pinned turns stay. `count` tells how many tokens a request takes up.
    """
    droppable = [turn for turn in conversation.turns if turn.standing == "kept"]

    def fits(left_out: int) -> bool:
        ids = frozenset(turn.id for turn in droppable[:left_out])
        return count((*conversation.with_standing(ids, "left_out").messages, question)) <= room_tokens

    if not droppable or fits(0) or not fits(len(droppable)):
        return ()
    too_few, enough = 0, len(droppable)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if fits(middle) else (middle, enough)
    return tuple(droppable[:enough])
