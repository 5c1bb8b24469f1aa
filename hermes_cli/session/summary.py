"""A summary that takes the place of turns: in one go where the window holds them, else piece by piece."""

from collections.abc import Generator, Sequence

from hermes_cli.backend import Backend
from hermes_cli.chat.context_window import most_that_fit, reserved_tokens, tight_room
from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import Finished, PromptProgress, TextDelta, TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest, Sampling
from hermes_cli.errors import ContextOverflow
from hermes_cli.session.turn_loop import TurnLoop, combined

SUMMARY_REQUEST = (
    "Summarise our conversation so far, so that we can go on from your summary alone. Keep names, figures, decisions, "
    "open questions and code that is still needed; leave out small talk."
)
_REQUEST = Message("user", SUMMARY_REQUEST)


def sum_up(
    backend: Backend, conversation: Conversation, going: Sequence[Turn], sampling: Sampling, cancel: CancelToken
) -> Generator[TurnEvent, None, tuple[Turn | None, Finished]]:
    """The summary of `conversation`, in which the turns `going` are to be replaced; None if it is not complete.

    The model reads the oldest of them that fit in with the request and its answer, then its summary with the next.
    Raises ContextOverflow where one does not even fit alone.
    """
    read, rest = conversation, going
    finished: list[Finished] = []
    while True:
        count = _readable(backend, read, rest)
        request = GenerationRequest((*_with_first(read, rest, count).messages, _REQUEST), sampling)
        loop = TurnLoop(backend, request, cancel)
        for event in loop.run():
            # Between two pieces a status line would run into the text that is there.
            if not isinstance(event, Finished) and not (finished and isinstance(event, PromptProgress)):
                yield event
        finished += loop.finished
        summary, rest = Turn(0, (_REQUEST, *loop.messages)), rest[count:]
        complete = finished[-1].reason == "stop" and bool(summary.answer.content)
        if not rest or not complete:
            break
        yield TextDelta("\n\n")
        summed_up = frozenset(turn.id for turn in going[: len(going) - len(rest)])
        read = Conversation(conversation.system_prompt, (summary, *conversation.turns))
        read = read.with_standing(summed_up, "left_out")
    ended = combined(finished)
    yield ended
    return summary if complete else None, ended


def _with_first(read: Conversation, rest: Sequence[Turn], count: int) -> Conversation:
    """Of the turns `rest` only the first `count`."""
    return read.with_standing(frozenset(turn.id for turn in rest[count:]), "left_out")


def _readable(backend: Backend, read: Conversation, rest: Sequence[Turn]) -> int:
    """How many of the turns `rest` can be summed up at once; a single one may leave little room for the summary."""

    def taken(count: int) -> int:
        return backend.count_tokens((*_with_first(read, rest, count).messages, _REQUEST))

    window = backend.info.context_length
    room = window - reserved_tokens(window, None)
    count = most_that_fit(len(rest), lambda tried: taken(tried) <= room)
    if not count and taken(1) > tight_room(window):
        number = read.turns.index(rest[0]) + (read.turns[0].id != 0)  # a summary of those before has no number
        raise ContextOverflow(
            f"turn {number} is too long to be summed up in this window; nothing has changed",
            f"leave it out with /forget {number}, then /compact sums up the others",
        )
    return count or 1
