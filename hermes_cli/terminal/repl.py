"""The chat loop in its plain form: a line in, the answer out as it comes."""

import sys

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EXIT_INTERRUPTED, ContextOverflow, HermesError
from hermes_cli.session import Session
from hermes_cli.terminal import console
from hermes_cli.terminal.answer_output import StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.turn_view import show_turn, tell_cut

PROMPT = "> "


def run(session: Session, attached: str = "") -> int:
    """Chat until the input ends; `attached` goes before the first message. Returns the exit code.

    On a terminal an error ends only its turn and Ctrl-C only the answer; in a pipe both end the run.
    """
    interactive = console.is_terminal(sys.stdin)
    if interactive:
        info = session.backend.info
        console.notice(f"{info.model_name} · ctx {info.context_length:,} · Ctrl-C stops an answer, Ctrl-D leaves")
    chat = _Chat(session, attached, interactive)
    while True:
        try:
            code = chat.step()
        except KeyboardInterrupt:
            if not interactive:
                return EXIT_INTERRUPTED
            console.put("\n")
            console.notice("Ctrl-D leaves")
            continue
        if code is not None:
            return code


class _Chat:
    """A session and the files that wait for its first message."""

    def __init__(self, session: Session, attached: str, interactive: bool) -> None:
        self._session, self._attached, self._interactive = session, attached, interactive

    def step(self) -> int | None:
        """Read a line and answer it; the exit code where the chat ends with it."""
        line = _read_line(self._interactive)
        if line is None:
            return 0
        if not line.strip():
            return None
        before = self._session.conversation
        try:
            reason = self._turn(f"{line}\n\n{self._attached}" if self._attached else line)
        except HermesError as problem:
            if isinstance(problem, ContextOverflow) and any(message.role == "user" for message in before.messages):
                problem.hint = f"start a new chat, or {problem.hint}"
            if not self._interactive:
                raise
            console.error(problem)
            return None
        finally:
            if self._session.conversation is not before:
                self._attached = ""
        return EXIT_CODES[reason] if reason and (reason != "interrupt" or not self._interactive) else None

    def _turn(self, text: str) -> str | None:
        """One question and its answer; which stop came meanwhile, if one did."""
        cancel = CancelToken()
        output = StandardOutput()
        with stopping(cancel):
            turn = show_turn(self._session, text, cancel, output)
            if not turn.empty:
                output.finish()
            elif self._interactive:
                console.put("\n")
        tell_cut(turn, self._session)
        return cancel.reason


def _read_line(interactive: bool) -> str | None:
    """The next line without its end; None when there is no more. Bytes that cannot be read are replaced."""
    if sys.stdin is None:
        return None
    if interactive:
        console.put(PROMPT)
    line = sys.stdin.buffer.readline().decode(sys.stdin.encoding if interactive else "utf-8", "replace")
    if interactive and not line.endswith("\n"):
        console.put("\n")
    return line.rstrip("\r\n") if line else None
