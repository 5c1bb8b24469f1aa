"""One chat in progress: `Session.send` is the turn loop."""

from collections.abc import Generator
from contextlib import closing

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import GenerationEvent, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest, Sampling
from hermes_cli.engine.backend import Backend


class Session:
    """A backend and what was said to it. Without a system prompt none is sent: Hermes is trained to do without."""

    def __init__(
        self,
        backend: Backend,
        *,
        system_prompt: str | None = None,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
    ) -> None:
        self.backend = backend
        self.conversation = Conversation(opening_messages(system_prompt))
        self._sampling = sampling or Sampling()
        self.max_tokens = max_tokens
        self._stop = stop

    def send(self, text: str, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Ask, and pass the events of the answer on.

        The turn enters the conversation as a whole when the answer ends, also when it was stopped half-way;
        a turn that brought no text is withdrawn.
        """
        question = Message("user", text)
        request = GenerationRequest(
            self.conversation.plus(question).messages, self._sampling, self.max_tokens, self._stop
        )
        pieces: list[str] = []
        try:
            with closing(self.backend.generate(request, cancel)) as events:
                for event in events:
                    if isinstance(event, TextDelta):
                        pieces.append(event.text)
                    yield event
        finally:
            if pieces:
                self.conversation = self.conversation.plus(question, Message("assistant", "".join(pieces)))

    def control_text(self, text: str) -> tuple[str, ...]:
        """The model's markers spelled out in what a turn with `text` adds; with the first turn the system prompt."""
        messages = self.conversation.messages
        opening = messages if all(message.role == "system" for message in messages) else ()
        return self.backend.control_text((*opening, Message("user", text)))

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()


def opening_messages(system_prompt: str | None) -> tuple[Message, ...]:
    """The messages before the first turn."""
    return () if system_prompt is None else (Message("system", system_prompt),)
