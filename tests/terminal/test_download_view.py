"""The progress line of a download fits the terminal, wherever stdout goes."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import child_environment
from tests.terminal.prompt.prompts import on_terminal

SHOWING = """
from hermes_cli.terminal.download_view import DownloadView
DownloadView().update("a file with a rather long name.gguf", 512_000_000, 1_024_000_000)
"""


def test_it_fits_a_narrow_window_also_with_stdout_in_a_pipe(tmp_path: Path) -> None:
    shell = ("bash", "-c", 'read; stty columns 50; "$@" | cat', "bash")
    with on_terminal(tmp_path, *shell, sys.executable, "-c", SHOWING) as terminal:
        terminal.send("\n")  # now that the terminal has got its size from outside
        assert terminal.exit_code() == 0
        (line,) = filter(None, terminal.lines())
    assert "50%" in line and len(line) < 50


def test_off_a_terminal_nothing_is_painted() -> None:
    shown = subprocess.run([sys.executable, "-c", SHOWING], capture_output=True, env=child_environment(), check=True)
    assert (shown.stdout, shown.stderr) == (b"", b"")
