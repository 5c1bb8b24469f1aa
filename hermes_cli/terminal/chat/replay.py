"""Earlier turns shown again: rendered on a terminal, exact in a pipe."""

import sys
from collections.abc import Sequence

from hermes_cli.chat.conversation import Turn
from hermes_cli.session.shown_text import shown_answers
from hermes_cli.terminal import console, pager
from hermes_cli.terminal.answer.output import standard_output
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.sanitize import for_terminal

_ENDED = {"cancelled": "(stopped)", "length": "(cut)"}


def answer_text(chat: Chat, turn: Turn) -> str:
    """The model's text in a turn, without its tool calls."""
    may_call = bool(chat.session.tools) or any(one.role == "tool" for one in turn.messages)
    return shown_answers(turn.messages, may_call)


def print_answer(chat: Chat, turn: Turn) -> None:
    """Print the whole answer of a turn, as when it was generated."""
    output = standard_output()
    output.write(answer_text(chat, turn))
    output.finish()


def print_turns(chat: Chat, numbered: Sequence[tuple[int, Turn]]) -> None:
    """Print turns with their numbers; through the pager if they are too long for the screen."""
    parts = [f"{_question(number, turn)}\n\n{_rendered(answer_text(chat, turn))}" for number, turn in numbered]
    pager.show("\n".join(parts))


def _question(number: int, turn: Turn) -> str:
    """The message of the user, after its number; dim or bold only on a terminal."""
    ended = _ENDED.get(turn.answer.finish_reason or "", "")
    lines = f"{number}> {turn.question}".rstrip().split("\n")
    if not console.is_terminal(sys.stdout):
        return "\n".join([*lines, *filter(None, [ended])])
    bold = "\n".join(f"\x1b[1m{for_terminal(line)}\x1b[0m" for line in lines)
    return f"{bold}\n\x1b[2m{ended}\x1b[0m" if ended else bold


def _rendered(text: str) -> str:
    if not console.is_terminal(sys.stdout):
        return f"{text}\n"
    from hermes_cli.terminal.markdown.writer import render_markdown

    return render_markdown(text, console.terminal_size()[0], console.colored(sys.stdout))
