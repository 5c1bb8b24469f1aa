"""Commands of the shell: their output is shown and kept."""

import os
import signal
import subprocess

import pytest

from hermes_cli.terminal.attachments.command import MOST_CHARACTERS, run_command


def test_output_and_errors_are_shown_as_they_come_and_kept(capfd: pytest.CaptureFixture[str]) -> None:
    output = run_command(r"echo one; echo two >&2; printf '\033[31mred\033[0m'; exit 3", stdin=subprocess.DEVNULL)
    assert output.text == "one\ntwo\nred"
    assert output.attachment.wrapped.endswith('exit_status="3">\none\ntwo\nred\n</command>')
    assert capfd.readouterr() == ("", "one\ntwo\nred\n")


def test_long_output_is_cut(capfd: pytest.CaptureFixture[str]) -> None:
    output = run_command(f"head -c {MOST_CHARACTERS + 10} /dev/zero | tr '\\0' x", stdin=subprocess.DEVNULL)
    assert (len(output.text), output.cut, output.status) == (MOST_CHARACTERS, True, 0)
    capfd.readouterr()
    output = run_command(f"for i in 1 2 3; do head -c {MOST_CHARACTERS // 2} /dev/zero; sleep 0.1; done", stdin=None)
    assert (len(output.text), output.cut) == (MOST_CHARACTERS, True)
    capfd.readouterr()


def test_ctrl_c_ends_the_wait_for_a_job_in_the_background(capfd: pytest.CaptureFixture[str]) -> None:
    command = f"trap '' INT; sleep 60 & echo $!; (sleep 0.3; kill -INT {os.getpid()}) > /dev/null & exit 3"
    output = run_command(command, stdin=subprocess.DEVNULL)
    os.kill(int(output.text), signal.SIGKILL)
    assert output.status == 3
    capfd.readouterr()


def test_output_of_a_command_that_cannot_start_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    output = run_command("no-such-command-here", stdin=subprocess.DEVNULL)
    assert output.status == 127 and "not found" in output.text
    capfd.readouterr()
