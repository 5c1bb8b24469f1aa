"""The start and the end of a chat on the terminal: model and session, the last exchanges, how to resume."""

import shlex

from hermes_cli.chat.conversation import Turn
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import tell_saving_problem
from hermes_cli.terminal.chat.chat import Chat

_RECALLED_TURNS = 2
_RECALLED_CHARACTERS = 200


def greet(chat: Chat) -> None:
    """Print the model, the session and the last exchanges."""
    console.notice(f"hermes · {chat.backend.name}")
    session = chat.session
    saved = f"session {session.transcript.id}" if session.transcript else "not saved"
    preset = f" · preset {session.settings.preset}" if session.settings.preset else ""
    console.notice(f"{saved}{preset} · /help")
    print_recap(session.conversation.turns)


def print_recap(turns: tuple[Turn, ...]) -> None:
    """Print the last exchanges of a session, shortened."""
    if len(turns) > _RECALLED_TURNS:
        earlier = len(turns) - _RECALLED_TURNS
        console.notice(f"… {earlier} earlier turn{'s' * (earlier != 1)}")
    for turn in turns[-_RECALLED_TURNS:]:
        console.notice(f"> {_cut(turn.question)}")
        console.notice(_cut(turn.answer.content))


def say_goodbye(chat: Chat) -> None:
    """Print how to resume the chat, if it was saved."""
    session = chat.session
    session.save()
    tell_saving_problem(session)
    if session.transcript and session.conversation.turns and not session.saving_problem:
        console.notice(f"Saved. Resume: hermes chat --session {shlex.quote(session.transcript.name)}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _RECALLED_CHARACTERS else f"{line[:_RECALLED_CHARACTERS]}…"
