"""Commands about branches: other versions of a turn, edits, the tree; and earlier turns shown again."""

import sys

from hermes_cli.chat.conversation import Turn
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console, pager
from hermes_cli.terminal.chat.branch_view import tree_lines
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands import arguments
from hermes_cli.terminal.chat.replay import print_answer, print_turns
from hermes_cli.terminal.chat.texts import excerpt
from hermes_cli.terminal.columns import terminal_columns
from hermes_cli.terminal.sanitize import for_terminal

_ANSWER = "answer"


def previous(chat: Chat, argument: str) -> None:
    """Switch to the previous answer (of turn N); Alt-Left.

    The turns after it stay in their branch: /redo restores them, /tree shows them.
    """
    _switch(chat, argument, -1)


def next_version(chat: Chat, argument: str) -> None:
    """Switch to the next answer (of turn N); Alt-Right."""
    _switch(chat, argument, 1)


def _switch(chat: Chat, argument: str, step: int) -> None:
    now = _one_turn(chat, argument)
    chosen = chat.session.switch_version(step, now)
    chat.unsent = None
    if chosen.questions != now.questions:
        console.notice(f"> {excerpt(chosen.question)}")
    print_answer(chat, chosen)
    print_version(chat)


def print_version(chat: Chat) -> None:
    """Print which version of the last turn is current, if there are several: `answer 2 of 2`."""
    now = chat.session.conversation.turns[-1]
    found = chat.session.versions(now)
    if len(found) == 1:
        return
    word = "answer" if all(one.questions == now.questions for one in found) else "version"
    place = [one.id for one in found].index(now.id) + 1
    keys = "/prev and /next switch" if 1 < place < len(found) else "/prev switches" if place > 1 else "/next switches"
    later = "; /redo restores the turns after it" if now.id in chat.session.tree.latest else ""
    console.notice(f"{word} {place} of {len(found)}; {keys}{later}")


def _one_turn(chat: Chat, argument: str) -> Turn:
    """The turn of a number, without one the last. Raises UsageError."""
    found = arguments.turns(chat, argument)
    if len(found) != 1:
        raise UsageError(f"{argument} is more than one turn", "give one number, as /context shows it")
    return found[0]


def edit(chat: Chat, argument: str) -> None:
    """Edit a message and send it, or edit an answer.

    /edit, /edit 3, /edit answer, /edit answer 3: without N, the last one. Enter sends, Ctrl-C changes nothing.
    The old version stays: /prev switches to it. After an edited answer, /continue lets the model continue it. In a
    pipe, the next line is the new text.
    """
    first, _, rest = argument.partition(" ")
    of_answer = bool(first) and _ANSWER.startswith(first.lower())
    turn = _one_turn(chat, rest.strip() if of_answer else argument)
    place = chat.session.conversation.turns.index(turn)
    old = turn.answer.content if of_answer else turn.question
    if of_answer and turn.answer.role != "assistant":
        raise UsageError(f"turn {place + 1} has no answer", "edit its message instead")
    text = chat.ask(f"edit {_ANSWER if of_answer else 'message'} {place + 1}", old)
    if text is None or not text.strip() or text == old:
        console.notice("nothing changed")
    elif of_answer:
        chat.session.edit_answer(turn, text)
        chat.unsent = None
        print_version(chat)
        console.notice("/continue lets the model continue this answer")
    else:
        chat.say(text, after=place)
        if chat.unsent is None:
            print_version(chat)


def tree(chat: Chat, argument: str) -> None:
    """Show all branches, and choose a turn to continue after.

    /tree N continues after turn N. N is a number in this list. * marks the current branch.
    """
    session = chat.session
    if argument:
        session.end_at(arguments.count(argument, otherwise=1))
    else:
        if not session.tree.turns:
            raise UsageError("there are no messages yet", "send a message first")
        current = session.tree.path_ids(session.conversation.turns[-1].id) if session.conversation.turns else ()
        lines = tree_lines(session.tree, current, terminal_columns(sys.stderr) - 1)
        _print_list(chat, "\n".join(map(for_terminal, lines)))
        chosen = chat.ask("continue after turn (Enter: no change)") if chat.interactive else None
        if not chosen or not chosen.strip():
            return
        session.end_at(arguments.count(chosen.strip(), otherwise=1))
    chat.unsent = None
    now = session.conversation.turns[-1]
    console.notice(f"> {excerpt(now.question)}")
    print_answer(chat, now)
    print_version(chat)


def _print_list(chat: Chat, text: str) -> None:
    if chat.interactive and console.is_terminal(sys.stdout):
        pager.show(f"{text}\n")
    else:
        console.lines(text)


def last(chat: Chat, argument: str) -> None:
    """Show the last answer again, or that of turn N."""
    print_answer(chat, _one_turn(chat, argument))


def history(chat: Chat, argument: str) -> None:
    """Show the conversation again, or its last N turns."""
    turns = chat.session.conversation.turns
    if not turns:
        raise UsageError("there are no messages yet", "send a message first")
    shown = min(arguments.count(argument, otherwise=len(turns)), len(turns))
    print_turns(chat, [*enumerate(turns, 1)][-shown:])
