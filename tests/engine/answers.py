"""One generation collected: its events, its text and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass

from hermes_cli.backend import Backend
from hermes_cli.chat.events import Finished, GenerationEvent, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling

GREEDY = Sampling(temperature=0, repeat_penalty=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """The events of a generation, up to its end."""

    events: list[GenerationEvent]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished), self.events
        return last


def user(text: str) -> Message:
    """What a user says."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """What the model said."""
    return Message("assistant", text)


def answer(
    backend: Backend,
    messages: str | Iterable[Message],
    *,
    sampling: Sampling = GREEDY,
    max_tokens: int | None = 48,
    stop: tuple[str, ...] = (),
    cancel: CancelToken | None = None,
) -> Answer:
    """Ask and collect all events."""
    asked = (user(messages),) if isinstance(messages, str) else tuple(messages)
    request = GenerationRequest(asked, sampling, max_tokens, stop)
    return Answer(list(backend.generate(request, cancel or CancelToken())))
