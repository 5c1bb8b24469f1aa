"""Commands about files, the output of commands, and the clipboard."""

import subprocess

from hermes_cli.errors import UsageError
from hermes_cli.formats.code_block import code_blocks
from hermes_cli.terminal import clipboard, console
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.attachments.command import MOST_CHARACTERS, run_command
from hermes_cli.terminal.attachments.sources import attachments_at
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, names, turns

_CODE = "code"


def attach(chat: Chat, argument: str) -> None:
    """Attach files, folders or web pages to the message.

    /attach notes.txt src '*.md' https://example.org attaches all of these; folders leave out what .gitignore names.
    PDF and DOCX are read too. /attach shows what is attached; /attach - removes it, also that of /paste, /run and -f.
    """
    if argument == NOTHING:
        chat.attached = ()
        console.notice("attachments removed")
    elif argument:
        chat.attach(attachments_at(names(argument), servers=chat.servers))
    elif chat.attached:
        for one in chat.attached:
            console.lines(chat.size_line([one]))
    else:
        console.lines("nothing is attached; attach a file: /attach notes.txt")


def run(chat: Chat, argument: str) -> None:
    """Run a shell command and attach its output.

    !git diff is the same as /run git diff. Ctrl-C ends the command; what it printed is attached.
    """
    if not argument:
        raise UsageError("/run needs a command", "for example: /run git diff")
    output = run_command(argument, stdin=None if chat.interactive else subprocess.DEVNULL)
    if output.status:
        console.notice(f"exit status {output.status}")
    if output.cut:
        console.notice(f"only the first {MOST_CHARACTERS:,} characters are attached")
    if output.text:
        chat.attach([output.attachment])
    else:
        console.notice("no output; nothing is attached")


def paste(chat: Chat, argument: str) -> None:
    """Attach the text on the clipboard to the next message."""
    text = clipboard.paste()
    if not text.strip():
        raise UsageError("the clipboard has no text", "copy some first")
    chat.attach([Attachment("the clipboard", text, tag="")])


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
