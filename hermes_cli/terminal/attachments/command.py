"""The output of a shell command, shown while it runs and saved for the model."""

import codecs
import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.sanitize import for_terminal
from hermes_cli.terminal.signal_handlers import on_signals

MOST_CHARACTERS = 1 << 20
_READ_BYTES = 1 << 16
_ESCAPE_CODE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """The output of a command and its exit status; a negative one is the signal that ended it."""

    command: str
    text: str
    status: int
    cut: bool

    @property
    def attachment(self) -> Attachment:
        """For the model."""
        return Attachment(self.command, self.text, "command", f'exit_status="{self.status}"')


def run_command(command: str, *, stdin: int | None) -> CommandOutput:
    """Run `command` in the user's shell and print its output; Ctrl-C ends the command. Raises UsageError.

    Its stderr is part of the output, of which the first MOST_CHARACTERS are kept. `stdin` None is that of this program.
    """
    pieces, length = list[str](), 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    child: subprocess.Popen[bytes] | None = None

    def interrupted(number: int, frame: FrameType | None) -> None:
        # Ctrl-C is for the command, which is in this group; a job in its background ignores it and holds the pipe.
        if child and child.poll() is not None:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), on_signals({signal.SIGINT: interrupted}):
        try:
            child = subprocess.Popen(
                [os.environ.get("SHELL") or "/bin/sh", "-c", command],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot run {command}: {error}", "check the variable SHELL") from error
        with child:
            assert child.stdout
            while data := os.read(child.stdout.fileno(), _READ_BYTES):
                piece = _ESCAPE_CODE.sub("", decoder.decode(data)).replace("\r\n", "\n")
                console.put(for_terminal(piece))
                if length < MOST_CHARACTERS:
                    pieces.append(piece)
                length += len(piece)
    text = "".join(pieces)
    if text and not text.endswith("\n"):
        console.put("\n")
    cut = length > MOST_CHARACTERS
    return CommandOutput(command, text[:MOST_CHARACTERS].rstrip("\n"), child.returncode if child else 0, cut)
