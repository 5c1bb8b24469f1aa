"""What a stop leaves behind: the text so far is out, the exit code says who stopped it, nothing else is said."""

import fcntl
import os
import re
import signal
import subprocess
import termios
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import OnTerminal, Start, exit_code
from tests.conftest import Result


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_answering_the_part_is_out_and_the_line_ended(
    start: Start, endless_path: Path, number: signal.Signals, code: int
) -> None:
    child = start("ask", "-m", endless_path, "Tell me something.")
    assert child.stdout
    part = os.read(child.stdout.fileno(), 1)
    child.send_signal(number)
    rest, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (code, b"")
    assert (part + rest).endswith(b"\n")
    assert len(part + rest) > 1
    (part + rest).decode("utf-8")


def test_stopped_in_json_form_the_part_comes_as_a_whole_object(start: Start, endless_path: Path) -> None:
    child = start("ask", "-m", endless_path, "--json", "--timeout", "0.5", "Hi")
    out, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (124, b"")
    assert out == b"" or b'"finish_reason": "cancelled"' in out


def test_ctrl_c_while_reading_a_long_prompt_stops_at_once(
    on_terminal: OnTerminal, wide_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("one two three four five six seven " * 1200)
    child = on_terminal("ask", "-m", wide_path, "--ctx", "32768", "--threads", "1", "-f", "long.txt")
    child.expect(re.escape("reading prompt "))
    child.sendintr()
    assert exit_code(child) == 130


def test_a_stop_while_stdin_is_read_leaves_quietly(start: Start) -> None:
    child = start("ask", "-m", "demo", stdin=subprocess.PIPE)
    assert child.stdin
    # More than a pipe holds: when this returns, the program is reading. Then it runs dry and waits for more.
    os.write(child.stdin.fileno(), b"x" * 300_000)
    unread = array("i", [1])
    while unread[0] or psutil.Process(child.pid).status() != psutil.STATUS_SLEEPING:
        fcntl.ioctl(child.stdin, termios.FIONREAD, unread)
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert child.stdout and child.stderr
    assert (child.stdout.read(), child.stderr.read()) == (b"", b"")


def test_a_reader_that_leaves_ends_the_answer_with_141(shell: Callable[[str], Result], endless_path: Path) -> None:
    result = shell(f"hermes ask -m '{endless_path}' Hi | head -c 3 | wc -c; echo ${{PIPESTATUS[0]}}")
    assert (result.out.split(), result.err) == ([b"3", b"141"], "")


def test_a_stopped_chat_in_a_pipe_ends(start: Start, endless_path: Path) -> None:
    child = start("chat", "-m", endless_path, stdin=subprocess.PIPE)
    assert child.stdin and child.stdout
    child.stdin.write(b"Hi\nWhat is 2 plus 3?\n")
    child.stdin.flush()
    part = os.read(child.stdout.fileno(), 1)
    child.send_signal(signal.SIGINT)
    rest, said = child.communicate(timeout=60)
    assert (child.returncode, said, (part + rest)[-1:]) == (130, b"", b"\n")
