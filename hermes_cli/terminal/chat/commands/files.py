"""Commands that bring text in and take it out."""

from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.formats.code_block import code_blocks
from hermes_cli.terminal import clipboard, console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, file_name, turns
from hermes_cli.terminal.text_file import wrapped

_CODE = "code"


def read(chat: Chat, argument: str) -> None:
    """Attach a file to the next message.

    /read - takes away what is attached, also what /paste and -f attached.
    """
    if not argument:
        raise UsageError("/read needs a file", "such as /read notes.txt")
    if argument == NOTHING:
        chat.attached = ()
        console.notice("nothing is attached to the next message")
        return
    _attach(chat, wrapped(Path(file_name(argument))), argument)


def paste(chat: Chat, argument: str) -> None:
    """Attach what is on the clipboard to the next message."""
    text = clipboard.paste()
    if not text.strip():
        raise UsageError("the clipboard holds no text", "copy some first")
    _attach(chat, text, "the clipboard")


def _attach(chat: Chat, text: str, source: str) -> None:
    chat.attached = (*chat.attached, text)
    console.notice(f"{source}: {len(text):,} characters go with the next message")


def copy(chat: Chat, argument: str) -> None:
    """Copy the last answer, or its last block of code.

    /copy 2 takes that of turn 2, as /context counts them; /copy code 2 its last block of code.
    """
    code_only = argument.split(" ")[0].lower() == _CODE
    (turn,) = turns(chat, argument[len(_CODE) :].strip() if code_only else argument)[-1:]
    text = turn.answer.content
    if code_only:
        blocks = code_blocks(text)
        if not blocks:
            raise UsageError("that answer holds no code block", "/copy takes all of it")
        text = blocks[-1]
    taken = "copied" if clipboard.copy(text) else "offered to the terminal's clipboard"
    console.notice(f"{taken}: {len(text):,} characters")
