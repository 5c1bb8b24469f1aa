"""Summaries that replace turns: made at once if they fit into the context, otherwise piece by piece."""

from collections.abc import Generator, Sequence
from dataclasses import replace

from hermes_cli.backend import Backend
from hermes_cli.chat.context_window import most_that_fit, reserved_tokens, tight_room
from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import Finished, PromptProgress, TextDelta, TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.errors import ContextOverflow
from hermes_cli.session.turn_loop import TurnLoop, combined

SUMMARY_REQUEST = (
    "Summarise our conversation so far, so that we can continue from your summary alone. Keep names, figures, "
    "decisions, open questions and code that is still needed; leave out small talk."
)
_REQUEST = Message("user", SUMMARY_REQUEST)
_SHORTEST_PART = 20  # a plausible summary has at least this fraction of the tokens that it replaces,
_SHORTEST_TOKENS = 24  # or this many


def summarise(
    backend: Backend, conversation: Conversation, replaced: Sequence[Turn], sampling: Sampling, cancel: CancelToken
) -> Generator[TurnEvent, None, tuple[Turn, Finished, str]]:
    """Summarise `conversation`, whose turns `replaced` are to be replaced; also returns why it cannot replace them.

    The model reads as many of the oldest turns as fit, then its summary of them with the next ones. Raises
    ContextOverflow if a turn alone does not fit.
    """
    read, rest = conversation, replaced
    finished: list[Finished] = []
    while True:
        count = _fitting(backend, read, rest)
        request = GenerationRequest((*_with_first(read, rest, count).messages, _REQUEST), sampling)
        loop = TurnLoop(backend, request, cancel)
        for event in loop.run():
            # Between two pieces a status line would be drawn over the text.
            if not isinstance(event, Finished) and not (finished and isinstance(event, PromptProgress)):
                yield event
        finished += loop.finished
        summary, rest = Turn(0, (_REQUEST, *loop.messages)), rest[count:]
        fault = _incomplete(summary, finished[-1])
        if not rest or fault:
            break
        yield TextDelta("\n\n")
        done = frozenset(turn.id for turn in replaced[: len(replaced) - len(rest)])
        read = Conversation(conversation.system_prompt, (summary, *conversation.turns))
        read = read.with_state(done, "left_out")
    ended = combined(finished)
    yield ended
    return summary, ended, fault or _implausible(backend, summary, replaced)


def _incomplete(summary: Turn, finished: Finished) -> str:
    """What is missing of a summary, if anything."""
    if finished.reason == "cancelled":
        return "it was stopped"
    if finished.reason == "length":
        return "it was cut off"
    return "" if any(map(str.isalnum, summary.answer.content)) else "the model wrote no text"


def _implausible(backend: Backend, summary: Turn, replaced: Sequence[Turn]) -> str:
    """Why a complete summary is of no use, if it is not: it frees nothing, or it cannot hold what was said."""

    def tokens(*turns: Turn) -> int:
        said = (message for turn in turns for message in turn.messages)
        return backend.count_tokens((*said, _REQUEST)) - backend.count_tokens((_REQUEST,))

    taken, freed = tokens(summary), sum(map(tokens, replaced))
    if taken >= freed:
        return f"it would take up {taken:,} tok, the turns take up {freed:,}"
    text = taken - tokens(replace(summary, messages=(_REQUEST, Message("assistant", ""))))
    if text < min(freed // _SHORTEST_PART, _SHORTEST_TOKENS):
        return f"{text:,} tok are too short for {freed:,} tok of turns"
    return ""


def _with_first(read: Conversation, rest: Sequence[Turn], count: int) -> Conversation:
    """The conversation with only the first `count` of the turns `rest`."""
    return read.with_state(frozenset(turn.id for turn in rest[count:]), "left_out")


def _fitting(backend: Backend, read: Conversation, rest: Sequence[Turn]) -> int:
    """How many of the turns `rest` fit at once; a single turn may leave little room for the summary."""

    def taken(count: int) -> int:
        return backend.count_tokens((*_with_first(read, rest, count).messages, _REQUEST))

    length = backend.info.context_length
    room = length - reserved_tokens(length, None)
    count = most_that_fit(len(rest), lambda tried: taken(tried) <= room)
    if not count and taken(1) > tight_room(length):
        number = read.turns.index(rest[0]) + (read.turns[0].id != 0)  # an unsaved summary before it has no number
        raise ContextOverflow(
            f"turn {number} is too long to summarise in this context; nothing has changed",
            f"leave it out with /hide {number}, then /compact summarises the others",
        )
    return count or 1
