"""After a stop the text so far is printed, the exit code gives the reason, and nothing else is printed."""

import fcntl
import json
import os
import pty
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

from tests.cli.conftest import OnTerminal, Start, answering, exit_code
from tests.conftest import Hermes, Result, child_environment


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
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


@pytest.mark.parametrize("form", ["--json", "-x"])
def test_stopped_in_a_whole_form_the_part_comes_in_that_form(start: Start, wide_path: Path, form: str) -> None:
    child = start("ask", "-m", wide_path, "--ctx", "32768", "-v", form, "Hi")
    answering(child)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out[-1:]) == (130, b"\n")
    if form == "--json":
        report = json.loads(out)
        assert report["finish_reason"] == "cancelled" and report["answer"]
    else:
        assert len(out) > 1


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe that takes nothing more until it is read."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096))
    return reader, writer


def test_a_time_limit_that_passes_after_the_last_word_stopped_nothing(start: Start) -> None:
    """The reader takes the answer only after all of it was generated."""
    reader, writer = full_pipe()
    child = start("ask", "-m", "demo", "-t", "0", "--timeout", "2", "Count from 1 to 30.", stdout=writer)
    os.close(writer)
    time.sleep(3)
    out = b"".join(iter(lambda: os.read(reader, 4096), b"")).lstrip(b"x")
    os.close(reader)
    assert (child.wait(60), out.decode()) == (0, ", ".join(map(str, range(1, 31))) + "\n")


def test_only_a_later_second_ctrl_c_leaves_at_once_and_takes_the_temporary_file_along(
    start: Start, tmp_path: Path
) -> None:
    """The program hangs in a write to stderr, so the first stop cannot end it."""
    reader, writer = full_pipe()
    child = start("ask", "-m", "demo", "-v", "-o", tmp_path / "answer.txt", "Hi", stderr=writer)
    os.close(writer)
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    time.sleep(2)
    for _ in range(2):
        child.send_signal(signal.SIGINT)
        time.sleep(0.05)
    time.sleep(1.2)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert list(tmp_path.iterdir()) == []
    os.close(reader)


def test_a_background_job_that_ignores_ctrl_c_continues(start: Start, wide_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    child = start("ask", "-m", wide_path, "--ctx", "32768", "-v", "Hi", preexec_fn=ignore)
    answering(child)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None
    child.terminate()
    assert child.wait(60) == 143


def test_a_terminal_that_hangs_up_under_the_status_line_does_not_cost_the_answer(
    start: Start, wide_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("one two three four five six seven " * 200)
    master, slave = pty.openpty()
    options = ("-m", wide_path, "--ctx", "32768", "--threads", "1", "-n", "5", "-f", tmp_path / "long.txt")
    child = start("ask", *options, stderr=slave, env=child_environment({"TERM": "xterm", "CI": None}))
    os.close(slave)
    seen = b""
    while b"processing prompt " not in seen:
        seen += os.read(master, 1000)
    os.close(master)
    out, _ = child.communicate(timeout=300)
    assert (child.returncode, out[-1:]) == (0, b"\n")
    assert len(out) > 1


def test_ctrl_c_while_reading_a_long_prompt_stops_at_once(
    on_terminal: OnTerminal, wide_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("one two three four five six seven " * 1200)
    child = on_terminal("ask", "-m", wide_path, "--ctx", "32768", "--threads", "1", "-f", "long.txt")
    child.expect(re.escape("processing prompt "))
    child.sendintr()
    assert exit_code(child) == 130


def test_stop_while_reading_stdin_exits_quietly(start: Start) -> None:
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


def test_closed_pipe_ends_the_answer_with_141(shell: Callable[[str], Result], endless_path: Path) -> None:
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


def test_ctrl_c_ends_a_chat_that_waits_for_a_line_in_a_pipe(start: Start) -> None:
    child = start("chat", "-m", "demo", "-v", stdin=subprocess.PIPE)
    answering(child)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert child.stdout and child.stderr
    assert (child.stdout.read(), child.stderr.read()) == (b"", b"")


NEVER_ENDING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_a_template_that_never_ends_is_left_after_the_time_limit(hermes: Hermes, tmp_path: Path) -> None:
    template, target = tmp_path / "bomb.jinja", tmp_path / "answer"
    template.write_text(NEVER_ENDING)
    result = hermes("ask", "-m", "demo", "--template", template, "--timeout", "0.5", "-o", target, "Hi", timeout_s=30)
    assert (result.code, result.out, list(tmp_path.iterdir())) == (124, b"", [template])
