"""What the command tests share: GGUF files made for one purpose, and the program started in ways `hermes` does not."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pexpect
import pytest
from gguf import GGUFReader

from tests.conftest import Result, child_environment, hermes_command
from tests.gguf_copy import changed_copy

PIPE = subprocess.PIPE
# What a hostile model puts into every word: set a colour, clear the screen, an 8-bit escape, text from right to left.
HOSTILE = "\x1b[31m\x1b[2J\x9b5n\u202e"


def assert_failed(result: Result, code: int, *parts: str) -> None:
    """One `error:` line with all of `parts`, one `hint:` line, nothing on stdout, the right exit code."""
    lines = result.err.splitlines()
    labels = [line.split(":")[0] for line in lines if not line.startswith("no Hermes 3 model here")]
    assert (result.code, result.out, labels) == (code, b"", ["error", "hint"]), result
    error = next(line for line in lines if line.startswith("error: "))
    assert all(part in error for part in parts), error
    assert not error.endswith(".")


class Start(Protocol):
    """Starts the program with pipes and returns at once."""

    def __call__(self, *args: str | Path, **options: Any) -> "subprocess.Popen[bytes]": ...


@pytest.fixture
def start() -> Iterator[Start]:
    """`hermes` as a running child; what still runs after the test is killed."""
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
                command, rest, env=environment, cwd=str(tmp_path), encoding="utf-8", timeout=60, dimensions=(40, 120)
            )
        )
        return children[-1]

    yield run
    for child in children:
        child.close(force=True)


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
    """The endless model with a window so wide that reading a prompt takes its time."""
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
