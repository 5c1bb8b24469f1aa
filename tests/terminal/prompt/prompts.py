"""What the prompt tests share: the line editor on a keyboard that types by itself, and programs that use the prompt."""

import contextlib
import os
import pty
import select
import sys
import threading
import tty
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pexpect
import pyte
from prompt_toolkit.output import DummyOutput

from hermes_cli.terminal.prompt.key_reader import KeyReader
from hermes_cli.terminal.prompt.line_editor import LineEditor
from hermes_cli.terminal.prompt.prompt_input import Suggestion
from tests.conftest import child_environment

ROWS, COLUMNS = 24, 80
WATCHDOG_S = 20
COMMANDS = ("/help", "/preset", "/preview")


class Typist:
    """A keyboard on a pseudo-terminal. It types a batch of keys, and the next one when that has been drawn."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self._stdin = os.fdopen(slave, encoding="utf-8")
        self.reader = KeyReader(self._stdin)
        self._batches: list[bytes] = []

    def types(self, *batches: str | bytes) -> None:
        """Have these batches typed from the next time on that the prompt is drawn."""
        self._batches += [batch.encode() if isinstance(batch, str) else batch for batch in batches]

    def press(self) -> None:
        """Type the next batch, unless one is still unread."""
        if self._batches and not select.select([self._stdin], [], [], 0)[0]:
            os.write(self.master, self._batches.pop(0))

    def hang_up(self) -> None:
        """Close the terminal that the keyboard belongs to."""
        os.close(self.master)

    def unplug(self) -> None:
        """Give the keyboard away."""
        self._stdin.close()


class Paper(DummyOutput):
    """An invisible screen; the typist sees when it was drawn."""

    def __init__(self, typist: Typist) -> None:
        self._typist = typist

    def flush(self) -> None:
        """At the end of each drawing."""
        self._typist.press()


def complete(text: str) -> Iterable[Suggestion]:
    """Completes the names of some commands."""
    return [Suggestion(name, len(text), "a note") for name in COMMANDS if text and name.startswith(text)]


class Desk:
    """A line editor and who types into it."""

    def __init__(self, history_file: Path | None = None, vi_mode: bool = False) -> None:
        self.typist = Typist()
        self.editor = LineEditor(
            complete=complete,
            status=lambda: "status",
            history_file=history_file,
            vi_mode=vi_mode,
            keys=self.typist.reader,
            screen=Paper(self.typist),
        )

    def read(self, *batches: str | bytes, draft: str = "") -> str | None:
        """The message that comes of these keys. A prompt that waits for more of them fails the test."""
        self.typist.types(*batches)
        watchdog = threading.Timer(WATCHDOG_S, self.editor.fail, [TimeoutError("the prompt wants more keys")])
        watchdog.start()
        try:
            return self.editor.read(draft)
        finally:
            watchdog.cancel()


@contextlib.contextmanager
def desk(history_file: Path | None = None, vi_mode: bool = False) -> Iterator[Desk]:
    """A desk for the time of a block."""
    opened = Desk(history_file, vi_mode)
    try:
        yield opened
    finally:
        opened.typist.hang_up()
        opened.typist.unplug()


PROGRAM = """
import sys, threading, time
from pathlib import Path
from hermes_cli.chat.request import CancelToken
from hermes_cli.terminal.interrupts import stopping
from hermes_cli.terminal.prompt.keyboard import quiet_keyboard
from hermes_cli.terminal.prompt.open import open_prompt

prompt = open_prompt(complete=lambda text: [], status=lambda: "the status", history_file=None)
while (text := prompt.read()) is not None:
    print(f"<{text if len(text) < 200 else len(text)}>", flush=True)
    if text == "fail soon":
        threading.Timer(0.3, prompt.fail, [SystemExit("it failed")]).start()
    if text == "answer":
        cancel = CancelToken()
        with stopping(cancel), quiet_keyboard(lambda: print("resumed", flush=True)):
            print("answering", flush=True)
            while not cancel.reason and not Path("enough").exists():
                time.sleep(0.02)
        print("stopped by", cancel.reason, flush=True)
    if text == "stuck":
        with stopping(CancelToken(), leave=lambda: None), quiet_keyboard():
            print("answering", flush=True)
            while True:
                time.sleep(0.02)
print("end of input", flush=True)
"""


class Terminal:
    """A program on a pseudo-terminal, and what its screen shows."""

    def __init__(self, child: "pexpect.spawn[str]") -> None:
        self.child = child
        child.delaybeforesend = None
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self.raw = ""

    def send(self, keys: str) -> None:
        """Type."""
        self.child.send(keys)

    def shows(self, *texts: str) -> list[str]:
        """Wait until the screen shows all of `texts`; its lines."""
        return self.until(lambda lines: all(text in "\n".join(lines) for text in texts))

    def until(self, good: Callable[[list[str]], bool]) -> list[str]:
        """Wait until `good` is content with the lines of the screen; they are returned."""
        while not good(lines := self.lines()):
            try:
                self._receive()
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                raise AssertionError(f"{type(error).__name__}: the screen shows {lines}") from error
        return lines

    def ends_with(self, *last: str) -> list[str]:
        """Wait until these are the last lines of the screen; all of them."""
        return self.until(lambda lines: lines[-len(last) :] == [*last])

    def lines(self) -> list[str]:
        """The screen down to its last line that is not empty."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n").split("\n")

    def resize(self, rows: int, columns: int) -> None:
        """As a window does."""
        self._screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def exit_code(self) -> int | None:
        """The exit code of a program that is about to end by itself."""
        with contextlib.suppress(pexpect.EOF):
            while True:
                self._receive()
        self.child.close()
        code: int | None = self.child.exitstatus
        return code

    def run(self, line: str) -> None:
        """Have a shell run Python on `line`, as soon as it is ready."""
        self.ends_with("$")
        self.send(f"{sys.executable} {line}\n")

    def _receive(self) -> None:
        data = self.child.read_nonblocking(1 << 16, timeout=WATCHDOG_S)
        self.raw += data
        self._stream.feed(data)


@contextlib.contextmanager
def on_terminal(folder: Path, *command: str, program: str = PROGRAM, **changes: str | None) -> Iterator[Terminal]:
    """`program`, or a command, on a terminal of its own, in `folder`."""
    first, *rest = command or (sys.executable, "-c", program)
    environment = child_environment({"TERM": "xterm-256color", "CI": None, "PS1": "$ ", **changes})
    child = pexpect.spawn(
        first,
        rest,
        env=environment,
        cwd=str(folder),
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(ROWS, COLUMNS),
    )
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)
