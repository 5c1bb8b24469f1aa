"""The prompt without terminal control: a pipe, a file, CI, TERM=dumb."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Script, child_environment
from tests.terminal.prompt.prompts import WATCHDOG_S, on_terminal

READING = """
import sys, threading
from hermes_cli.terminal.prompt.open import open_prompt
prompt = open_prompt(complete=lambda text: [], status=lambda: "", history_file=None)
if "fail" in sys.argv:
    threading.Timer(0.2, prompt.fail, [SystemExit("it failed")]).start()
while (line := prompt.read(*sys.argv[2:])) is not None:
    print(ascii(line), flush=True)
print("end", flush=True)
"""


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo\r\n\nlast", ["one", "two", "", "last"]),
        (b'a\\\n"""\nb\n\nc\n"""\n"""d\ne', ["a\\", "b\n\nc", '"""d\ne']),
        (b"caf\xe9 \x1b[31m\x00\n", ["caf\ufffd \x1b[31m\x00"]),
        (b"x" * 1_000_000 + b"\n", ["x" * 1_000_000]),
        (b"many\n" * 5_000, ["many"] * 5_000),
    ],
    ids=("nothing", "lines", "blocks", "bytes", "a long line", "many lines"),
)
def test_a_pipe_or_a_file_gives_its_lines_and_blocks_as_they_are(data: bytes, lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(data)
    command = [sys.executable, "-c", READING]
    expected = "".join(f"{line!a}\n" for line in (*lines,)) + "end\n"
    piped = subprocess.run(command, input=data, capture_output=True, env=child_environment(), check=True)
    with (tmp_path / "input").open("rb") as file:
        read = subprocess.run(command, stdin=file, capture_output=True, env=child_environment(), check=True)
    assert (piped.stdout.decode(), piped.stderr) == (read.stdout.decode(), read.stderr) == (expected, b"")


def test_without_stdin_the_input_has_ended(script: Script) -> None:
    result = script(f"import sys\nsys.stdin = None{READING}")
    assert (result.code, result.out, result.err) == (0, b"end\n", "")


def test_a_failure_ends_the_wait_for_a_pipe() -> None:
    command = [sys.executable, "-c", READING, "fail"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment()) as child:
        assert child.wait(WATCHDOG_S) == 1
        assert child.stderr and child.stderr.read() == b"it failed\n"


def test_sigterm_ends_the_wait_for_a_pipe() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    ) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"ready\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"'ready'\n"
        child.terminate()
        # Between two reads it is the signal itself that ends it.
        assert child.wait(WATCHDOG_S) in (143, -signal.SIGTERM)


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"TERM": None}, {"CI": "1"}], ids=str)
def test_a_terminal_without_control_has_plain_lines(changes: dict[str, str | None], tmp_path: Path) -> None:
    with on_terminal(tmp_path, program=READING, **changes) as terminal:
        for lines, shown in (
            (["a\\", "b"], r"'a\nb'"),
            (['"""', "x", "", '"""'], r"'x\n'"),
            (["\x1b[31m"], r"'\u241b[31m'"),
        ):
            for number, line in enumerate(lines):
                terminal.ends_with("..." if number else ">")
                terminal.send(f"{line}\r")
                terminal.shows(line.replace("\x1b", "^["))
            terminal.shows(shown)
        terminal.ends_with(">")
        terminal.send("forgotten\x03")
        terminal.shows("Ctrl-D exits")
        terminal.send("kept\r")
        lines = terminal.shows("'kept'")
        assert "... b" in lines and "> kept" in lines
        terminal.send("\x04")
        assert terminal.exit_code() == 0


def test_an_empty_line_sends_the_draft(tmp_path: Path) -> None:
    command = (sys.executable, "-c", READING, "", "an old question")
    with on_terminal(tmp_path, *command, TERM="dumb") as terminal:
        terminal.shows("Enter sends: an old question")
        terminal.send("\r")
        terminal.shows("'an old question'")


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("\x04", ["end of input"]),
        ("one\rtwo\r\x04", ["<one>", "<two>", "end of input"]),
        ("nothing\x15lost\x7f\x7f\x7fong\x7fe line\x08k\r\x04", ["<lone link>", "end of input"]),
        ("\x1b[200~past\x1b[201~ed\x04\x04", ["<pasted>", "end of input"]),
    ],
    ids=("end", "lines", "erased", "paste"),
)
def test_keys_pressed_during_an_answer_do_what_they_would_have_done_at_the_prompt(
    keys: str, shown: list[str], tmp_path: Path
) -> None:
    with on_terminal(tmp_path, TERM="dumb") as terminal:
        terminal.ends_with(">")
        terminal.send("answer\r")
        terminal.shows("answering")
        terminal.send(keys)
        (tmp_path / "enough").touch()
        assert terminal.exit_code() == 0
        lines = [line.lstrip("> ") for line in terminal.lines()]
        assert [*filter(None, lines[lines.index("stopped by None") + 1 :])] == shown
