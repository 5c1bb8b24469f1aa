"""Commands about the last turn: generate again, continue, undo, redo, begin the answer; new session and exit."""

from dataclasses import replace

from hermes_cli.errors import UsageError
from hermes_cli.session.shown_text import shown_part
from hermes_cli.terminal import console
from hermes_cli.terminal.attachments.text_file import text_or_file
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, count, sampling_changes
from hermes_cli.terminal.chat.commands.branches import print_version
from hermes_cli.terminal.chat.texts import excerpt

_KEEP = "--keep"


def leave(chat: Chat, argument: str) -> None:
    """Exit the chat, like Ctrl-D."""
    chat.leaving = 0


def retry(chat: Chat, argument: str) -> None:
    """Generate the last answer again; the earlier one stays.

    /prev and /next switch between the answers. /retry temperature=0.3 uses different sampling once; /set changes it
    for the session. After an error, or Ctrl-C before there was an answer, the message is sent again.
    """
    if chat.unsent:
        chat.say(*chat.unsent)
        return
    sampling = sampling_changes(replace(chat.session.settings.sampling, seed=None), argument.split())
    if not chat.make_room(f"/retry {argument}".rstrip()):
        return
    before, begun = chat.session.conversation, chat.beginning
    chat.answer(lambda cancel: chat.session.regenerate(cancel, sampling, begun))
    if chat.session.conversation is not before:
        chat.prefill = ""
        print_version(chat)


def continue_answer(chat: Chat, argument: str) -> None:
    """Continue an answer that was stopped, cut or edited."""
    if chat.make_room("/continue", resume=True):
        shown = shown_part(chat.session.conversation.turns[-1].answer.content, bool(chat.session.tools))
        chat.answer(chat.session.continue_answer, after=shown)


def prefill(chat: Chat, argument: str) -> None:
    """Begin the next answer with TEXT.

    /prefill --keep TEXT begins every answer of this session with it; @FILE reads it. /prefill - removes it, /prefill
    shows it.
    """
    first, _, rest = argument.partition(" ")
    if argument == NOTHING:
        chat.prefill = ""
        chat.choose(chat.layers.without("prefill"))
    elif first == _KEEP and not rest.strip():
        raise UsageError("--keep needs the text that answers begin with", "for example: /prefill --keep Sure,")
    elif argument:
        text = text_or_file(rest if first == _KEEP else argument)
        chat.prefill = "" if first == _KEEP else text
        if first == _KEEP:
            chat.choose(chat.layers.with_flag(prefill=text))
    which = "the next answer begins" if chat.prefill else "every answer begins"
    console.notice(f"{which} with: {chat.beginning}" if chat.beginning else "no prefill")


def undo(chat: Chat, argument: str) -> None:
    """Remove the last turn, or the last N (see /redo)."""
    gone = chat.session.undo(count(argument, otherwise=1))
    chat.unsent = None
    console.notice(f'removed: {_turns(len(gone))}, from "{excerpt(gone[0].question)}"')


def redo(chat: Chat, argument: str) -> None:
    """Restore the turn that /undo removed, or N of them."""
    back = chat.session.redo(count(argument, otherwise=1))
    chat.unsent = None
    more = "; /redo restores more" if back[-1].id in chat.session.tree.latest else ""
    console.notice(f'restored: {_turns(len(back))}, to "{excerpt(back[-1].question)}"{more}')


def _turns(number: int) -> str:
    return "1 turn" if number == 1 else f"{number} turns"


def new(chat: Chat, argument: str) -> None:
    """Start a new session; system prompt and settings stay."""
    chat.start_new()
    kept = "system prompt and settings" if chat.session.conversation.system_prompt is not None else "settings"
    console.notice(f"new session; {kept} stay")
