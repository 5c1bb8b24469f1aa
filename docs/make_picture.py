"""Draw docs/chat.svg from a real chat with the demo model: python docs/make_picture.py

The program runs on a pseudo-terminal, an emulated screen takes what it draws, and Rich writes that as SVG.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

ROWS, COLUMNS = 46, 78
CHAT = ("My name is Alice.", "Show me some Markdown.", "What is my name?", "/context")
TARGET = Path(__file__).with_name("chat.svg")
_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}


class _Screen(pyte.Screen):
    """An emulated screen that sends the terminal's answers, such as the cursor's place, back to the program."""

    def __init__(self, child: "pexpect.spawn[bytes]") -> None:
        super().__init__(COLUMNS, ROWS)
        self._child = child

    def write_process_input(self, data: str) -> None:
        self._child.send(data.encode())


def main() -> None:
    """Run the chat, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {f"HERMES_CLI_{name}_DIR": f"{folder}/{name}" for name in ("CACHE", "CONFIG", "DATA")}
        child: pexpect.spawn[bytes] = pexpect.spawn(
            sys.executable,
            ["-m", "hermes_cli", "chat", "-m", "demo", "-t", "0"],
            env={"TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
            dimensions=(ROWS, COLUMNS),
        )
        screen = _Screen(child)
        stream = pyte.ByteStream(screen)
        for message in CHAT:
            _settle(child, stream, screen)
            child.send(f"{message}\r")
        _settle(child, stream, screen)
        child.close(force=True)
    console = Console(width=COLUMNS, record=True, file=sys.stderr)
    for row in range(_last_row(screen) + 1):
        console.print(_line(screen, row), soft_wrap=True)
    console.save_svg(str(TARGET), title="hermes chat")


def _settle(child: "pexpect.spawn[bytes]", stream: pyte.ByteStream, screen: pyte.Screen) -> None:
    """Follow the output until nothing has come for a moment and the cursor is at a prompt."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.7 or screen.cursor.x != 2:
        try:
            stream.feed(child.read_nonblocking(1 << 16, timeout=0.1))
            quiet_since = time.monotonic()
        except pexpect.TIMEOUT:
            continue


def _last_row(screen: pyte.Screen) -> int:
    return max(row for row, text in enumerate(screen.display) if text.strip())


def _line(screen: pyte.Screen, row: int) -> Text:
    """A row of the screen with its colours."""
    line = Text()
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        style = Style(color=_color(cell.fg), bold=cell.bold, italic=cell.italics, underline=cell.underscore)
        line.append(cell.data, style)
    line.rstrip()
    return line


def _color(name: str) -> str | None:
    """Rich's name for a colour of the emulator."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return _NAMES.get(name, name.replace("bright", "bright_"))


if __name__ == "__main__":
    main()
