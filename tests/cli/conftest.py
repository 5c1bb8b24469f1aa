"""Shared by the command tests: special GGUF files, and other ways to start the program."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pexpect
import pyte
import pytest
from gguf import GGUFReader

from tests.conftest import Result, child_environment, hermes_command
from tests.gguf_copy import changed_copy

PIPE = subprocess.PIPE
# Codes that a hostile model puts into every word: a colour, clear the screen, an 8-bit escape, right-to-left text.
HOSTILE = "\x1b[31m\x1b[2J\x9b5n\u202e"


def assert_failed(result: Result, code: int, *parts: str) -> None:
    """One `error:` line with all of `parts`, one `hint:` line, nothing on stdout, the right exit code."""
    lines = result.err.splitlines()
    labels = [line.split(":")[0] for line in lines if not line.startswith("no Hermes 3 model found")]
    assert (result.code, result.out, labels) == (code, b"", ["error", "hint"]), result
    error = next(line for line in lines if line.startswith("error: "))
    assert all(part in error for part in parts), error
    assert not error.endswith(".")


class Start(Protocol):
    """Starts the program with pipes, without waiting."""

    def __call__(self, *args: str | Path, **options: Any) -> "subprocess.Popen[bytes]": ...


@pytest.fixture
def start() -> Iterator[Start]:
    """`hermes` as a running child, killed after the test if it still runs."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*args: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        settings = {"stdin": subprocess.DEVNULL, "stdout": PIPE, "stderr": PIPE, "env": child_environment(), **options}
        children.append(subprocess.Popen(hermes_command(*args), **settings))
        return children[-1]

    yield run
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.fixture
def shell() -> Callable[[str], Result]:
    """Runs a line of bash in which `hermes` is the real program."""

    def run(line: str) -> Result:
        command = " ".join(f"'{part}'" for part in hermes_command())
        child = subprocess.run(
            ["bash", "-c", f'hermes() {{ {command} "$@"; }}\n{line}'],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=child_environment(),
            timeout=60,
            check=False,
        )
        return Result(child.returncode, child.stdout, child.stderr.decode("utf-8", "replace"))

    return run


class OnTerminal(Protocol):
    """Starts the program on a pseudo-terminal of its own."""

    def __call__(self, *args: str | Path, **changes: str | None) -> "pexpect.spawn[str]": ...


@pytest.fixture
def on_terminal(tmp_path: Path) -> Iterator[OnTerminal]:
    """`hermes` with a pseudo-terminal for stdin, stdout and stderr, in an empty folder."""
    children: list[pexpect.spawn[str]] = []

    def run(*args: str | Path, **changes: str | None) -> "pexpect.spawn[str]":
        command, *rest = hermes_command(*args)
        environment = child_environment({"TERM": "xterm-256color", "CI": None, **changes})
        children.append(
            pexpect.spawn(
                command, rest, env=environment, cwd=str(tmp_path), encoding="utf-8", timeout=60, dimensions=(40, 200)
            )
        )
        return children[-1]

    yield run
    for child in children:
        child.close(force=True)


class _AnsweringScreen(pyte.HistoryScreen):
    """A screen that answers what the program asks the terminal."""

    def __init__(self, child: "pexpect.spawn[bytes]", *size: int, **options: float) -> None:
        super().__init__(*size, **options)  # type: ignore[arg-type]
        self._child = child

    def write_process_input(self, data: str) -> None:
        self._child.send(data)


class Screen:
    """The program on a pseudo-terminal, used like a person does: by typing keys and reading an emulated screen."""

    def __init__(
        self, command: list[str], folder: Path, changes: Mapping[str, str | None], size: tuple[int, int]
    ) -> None:
        environment = child_environment({"TERM": "xterm-256color", "CI": None, **changes})
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            command[0], command[1:], env=environment, cwd=str(folder), timeout=60, dimensions=size
        )
        rows, columns = size
        self._screen = _AnsweringScreen(self.child, columns, rows, history=5000, ratio=0.001)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """All lines, including those that scrolled away, without trailing space."""
        scrolled = ["".join(row[column].data for column in sorted(row)).rstrip() for row in self._screen.history.top]
        return scrolled + [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The lines as one text, without the empty ones at the end."""
        return "\n".join(self.lines).rstrip()

    def type(self, keys: str | bytes) -> None:
        """Press keys: `\\r` is Enter."""
        self.child.send(keys)

    def wait(self, seen: Callable[[], bool], what: str) -> None:
        """Follow the output until `seen`."""
        until = time.monotonic() + 60
        while not seen():
            assert time.monotonic() < until, f"{what} never came:\n{self.text}"
            try:
                self._stream.feed(self.child.read_nonblocking(1 << 16, timeout=0.2))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert seen(), f"the program ended without {what}:\n{self.text}"

    def shows(self, text: str, times: int = 1) -> None:
        """Wait until `text` is on the screen, or above it, `times` times."""
        self.wait(lambda: self.text.count(text) >= times, repr(text))

    def prompt(self) -> None:
        """Wait for an empty prompt with the cursor in it."""
        empty = ("> ", "> Send a message (/help)")
        row = lambda: self._screen.display[self._screen.cursor.y]  # noqa: E731
        self.wait(lambda: self._screen.cursor.x == 2 and row().rstrip().ljust(2) in empty, "a prompt")  # type: ignore[no-untyped-call]

    def say(self, message: str) -> None:
        """Type a message at an empty prompt, and send it."""
        self.prompt()
        self.type(f"{message}\r")
        self.wait(lambda: f"> {message}"[:60] in self.text, f"{message} on the screen")

    def resize(self, rows: int, columns: int) -> None:
        """Resize the terminal."""
        self._screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def ended(self) -> int | None:
        """Follow the output to its end; the exit code."""
        while True:
            try:
                self._stream.feed(self.child.read(1 << 16))
                if not self.child.isalive():
                    break
            except pexpect.EOF:
                break
        self.child.close()
        code: int | None = self.child.exitstatus
        return code


class OnScreen(Protocol):
    """Starts the program on a screen of its own, by `script` in bash, where it is `"$@"`, if one is given."""

    def __call__(
        self, *args: str | Path, script: str = "", size: tuple[int, int] = (40, 100), **changes: str | None
    ) -> Screen: ...


@pytest.fixture
def on_screen(tmp_path: Path) -> Iterator[OnScreen]:
    """`hermes` on a screen, in an empty folder."""
    screens: list[Screen] = []

    def run(*args: str | Path, script: str = "", size: tuple[int, int] = (40, 100), **changes: str | None) -> Screen:
        shell = ["bash", "-mc", script, "bash"] if script else []
        screens.append(Screen([*shell, *hermes_command(*args)], tmp_path, changes, size))
        return screens[-1]

    yield run
    for screen in screens:
        screen.child.close(force=True)


def answering(child: "subprocess.Popen[bytes]") -> None:
    """Return when a child started with --verbose has its model loaded and has been at its answer for a while."""
    assert child.stderr
    assert b"loaded in" in child.stderr.readline()
    time.sleep(0.5)


def exit_code(child: "pexpect.spawn[str]") -> int | None:
    """The exit code of a child that is about to end by itself."""
    child.expect(pexpect.EOF)
    child.close()
    code: int | None = child.exitstatus
    return code


@pytest.fixture(scope="session")
def vocabulary_path(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model without its weights."""
    return changed_copy(demo_path, tmp_path_factory.mktemp("vocabulary") / "vocabulary.gguf", weights=False)


@pytest.fixture(scope="session")
def wide_path(endless_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The endless model with a context so long that processing a prompt takes a while."""
    wide = {"llama.context_length": 32768}
    return changed_copy(endless_path, tmp_path_factory.mktemp("wide") / "wide.gguf", metadata=wide)


@pytest.fixture(scope="session")
def hostile_path(endless_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An endless model whose name and every word carry codes that would take over a terminal."""
    alphabet = byte_alphabet()
    codes = "".join(alphabet[byte] for byte in HOSTILE.encode())
    tokens: list[str] = GGUFReader(endless_path).fields["tokenizer.ggml.tokens"].contents()
    words = {token: token + codes for token in tokens if len(token) > 1 and not token.startswith("<|")}
    target = tmp_path_factory.mktemp("hostile") / "hostile.gguf"
    return changed_copy(endless_path, target, metadata={"general.name": f"evil{HOSTILE}"}, renamed_tokens=words)


def byte_alphabet() -> dict[int, str]:
    """The printable character by which a byte-level vocabulary spells each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


@pytest.fixture(scope="session")
def long_text_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text that the wide model reads for seconds."""
    path = tmp_path_factory.mktemp("text") / "long.txt"
    path.write_text("one two three four five six seven " * 1200)
    return path
