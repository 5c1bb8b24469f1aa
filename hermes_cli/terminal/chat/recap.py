"""The start and the end of a chat on the terminal: model and session, the last exchanges, how to resume."""

import shlex
import sys

from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import print_saving_problem
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.replay import print_answer

_RECALLED_CHARACTERS = 200


def greet(chat: Chat) -> None:
    """Print the model, the session and the last exchanges."""
    console.notice(f"hermes · {chat.backend.name}")
    session = chat.session
    saved = f"session {session.transcript.id}" if session.transcript else "not saved"
    preset = f" · preset {session.settings.preset}" if session.settings.preset else ""
    console.notice(f"{saved}{preset} · /help")
    if session.settings.prefill:
        console.notice(f"every answer begins with: {session.settings.prefill}")
    print_recap(chat)


def print_recap(chat: Chat) -> None:
    """Print the last message of a session and, on a terminal, its whole answer."""
    turns = chat.session.conversation.turns
    if not turns:
        return
    if earlier := len(turns) - 1:
        console.notice(f"… {earlier} earlier turn{'s' * (earlier != 1)}: /history")
    console.notice(f"> {_cut(turns[-1].question)}")
    if chat.interactive and console.is_terminal(sys.stdout):
        print_answer(chat, turns[-1])
        console.put("\n")


def say_goodbye(chat: Chat) -> None:
    """Print how to resume the chat, if it was saved."""
    session = chat.session
    session.save()
    print_saving_problem(session)
    if session.transcript and session.conversation.turns and not session.saving_problem:
        console.notice(f"Saved. Resume: hermes chat --session {shlex.quote(session.transcript.name)}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _RECALLED_CHARACTERS else f"{line[:_RECALLED_CHARACTERS]}…"
