"""How much of the context a session uses, counted only after a change: the status line asks often."""

from contextlib import suppress
from operator import is_not

from hermes_cli.errors import HermesError
from hermes_cli.session.session import Session
from hermes_cli.terminal.answer.turn_view import context_use


class ContextUse:
    """The use of the context by the session of a chat."""

    def __init__(self) -> None:
        self._counted: tuple[tuple[object, ...], int | None] | None = None

    def of(self, session: Session) -> str:
        """The tokens in use, and the context length."""
        key = (session.conversation, session.tools, session.schema, session.backend)
        if self._counted is None or any(map(is_not, self._counted[0], key)):
            used = None
            with suppress(HermesError):  # a template that refuses the conversation reports it with the next message
                used = session.context_tokens()
            self._counted = key, used
        return context_use(self._counted[1], session.backend.info.context_length)
