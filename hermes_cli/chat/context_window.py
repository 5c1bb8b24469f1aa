"""Which turns fit into the model's context."""

from collections.abc import Callable

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message

_MOST_RESERVED_TOKENS = 1024


def reserved_tokens(context_length: int, max_tokens: int | None) -> int:
    """The tokens to keep free for an answer: at most `max_tokens`, and at most a quarter of the context."""
    return min(max_tokens or _MOST_RESERVED_TOKENS, context_length // 4)


def tight_room(context_length: int) -> int:
    """The size of a request that leaves room for only a short answer."""
    return context_length - context_length // 16


def turns_to_leave_out(
    conversation: Conversation,
    asked: tuple[Message, ...],
    room_tokens: int,
    count: Callable[[tuple[Message, ...]], int],
    *,
    tight_tokens: int = 0,
) -> tuple[Turn, ...]:
    """The oldest turns to leave out so that `asked` fits; none if it fits already, or could not fit at all.

    If it could not, `tight_tokens` is the limit instead of `room_tokens`. Pinned turns stay. `count` returns how
    many tokens a request takes up; it is never asked about much more than fits in.
    """
    droppable = [turn for turn in conversation.turns if turn.state == "kept"]
    total = len(droppable)

    def taken(kept: int) -> int:
        ids = frozenset(turn.id for turn in droppable[: total - kept])
        return count((*conversation.with_state(ids, "left_out").messages, *asked))

    if not droppable:
        return ()
    least = taken(0)
    room = room_tokens if least <= room_tokens else tight_tokens
    if least > room:
        return ()
    most = most_that_fit(total, lambda kept: taken(kept) <= room)
    return tuple(droppable[: total - most])


def most_that_fit(total: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `total` that `fits`, if all smaller ones fit; much larger ones are not tried."""
    most, too_many = 0, total + 1
    while too_many - most > 1:
        tried = min(most * 4 or 1, total) if too_many > total else (most + too_many) // 2
        most, too_many = (tried, too_many) if fits(tried) else (most, tried)
    return most
