"""The chat loop in its plain form: a line in, the answer out as it comes."""

import sys

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import HermesError
from hermes_cli.session import Session
from hermes_cli.terminal import console
from hermes_cli.terminal.answer_output import StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.turn_view import show_turn

PROMPT = "> "


def run(session: Session, attached: str = "") -> int:
    """Chat until the input ends; `attached` goes before the first message. Returns the exit code.

    On a terminal an error ends only its turn and Ctrl-C only the answer; in a pipe both end the run.
    """
    interactive = console.is_terminal(sys.stdin)
    if interactive:
        info = session.backend.info
        console.notice(f"{info.model_name} · ctx {info.context_length:,} · Ctrl-C stops an answer, Ctrl-D leaves")
    while True:
        try:
            line = _read_line(interactive)
        except KeyboardInterrupt:
            console.notice("\nCtrl-D leaves")
            continue
        if line is None:
            return 0
        if not line.strip():
            continue
        text, attached = f"{line}\n\n{attached}" if attached else line, ""
        try:
            reason = _turn(session, text)
        except HermesError as problem:
            if not interactive:
                raise
            console.error(problem)
            continue
        if reason and (reason != "interrupt" or not interactive):
            return EXIT_CODES[reason]


def _turn(session: Session, text: str) -> str | None:
    """One question and its answer; why it was stopped, if it was."""
    cancel = CancelToken()
    output = StandardOutput()
    with stopping(cancel):
        show_turn(session.send(text, cancel), output)
        output.finish()
    return cancel.reason


def _read_line(interactive: bool) -> str | None:
    """The next line without its end; None when there is no more."""
    if sys.stdin is None:
        return None
    if not interactive:
        line = sys.stdin.buffer.readline().decode("utf-8", "replace")
        return line.rstrip("\r\n") if line else None
    try:
        return input(PROMPT).encode("utf-8", "replace").decode("utf-8")
    except EOFError:
        print()
        return None
