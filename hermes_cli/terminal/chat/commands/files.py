"""Commands about files and the clipboard."""

from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.formats.code_block import code_blocks
from hermes_cli.terminal import clipboard, console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, file_name, turns
from hermes_cli.terminal.text_file import wrapped

_CODE = "code"


def attach(chat: Chat, argument: str) -> None:
    """Attach a file to the next message.

    /attach - removes all attachments, also those of /paste and -f.
    """
    if not argument:
        raise UsageError("/attach needs a file", "for example /attach notes.txt")
    if argument == NOTHING:
        chat.attached = ()
        console.notice("attachments removed")
        return
    _attach(chat, wrapped(Path(file_name(argument))), argument)


def paste(chat: Chat, argument: str) -> None:
    """Attach the text on the clipboard to the next message."""
    text = clipboard.paste()
    if not text.strip():
        raise UsageError("the clipboard has no text", "copy some first")
    _attach(chat, text, "the clipboard")


def _attach(chat: Chat, text: str, source: str) -> None:
    chat.attached = (*chat.attached, text)
    console.notice(f"{source}: {len(text):,} characters attached to the next message")


def copy(chat: Chat, argument: str) -> None:
    """Copy the last answer, or its last code block.

    /copy 2 copies the answer of turn 2 in /context; /copy code 2 copies its last code block.
    """
    code_only = argument.split(" ")[0].lower() == _CODE
    (turn,) = turns(chat, argument[len(_CODE) :].strip() if code_only else argument)[-1:]
    text = turn.answer.content
    if code_only:
        blocks = code_blocks(text)
        if not blocks:
            raise UsageError("the answer has no code block", "/copy copies all of it")
        text = blocks[-1]
    done = "copied" if clipboard.copy(text) else "sent to the terminal's clipboard"
    console.notice(f"{done}: {len(text):,} characters")
