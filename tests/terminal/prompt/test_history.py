"""The history file: private, bounded, shared, and never a reason to fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hermes_cli.terminal.prompt.history import MessageHistory
from tests.conftest import child_environment
from tests.terminal.prompt.prompts import desk


def entries(file: Path) -> list[str]:
    """What a new chat finds, the oldest first."""
    return list(MessageHistory(file).load_history_strings())[::-1]


def test_the_file_and_its_folder_are_private(tmp_path: Path) -> None:
    file = tmp_path / "data" / "history"
    MessageHistory(file).append_string("hello")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.chmod(0o644)
    MessageHistory(file).append_string("again")
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_kept_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "history"
    history = MessageHistory(file)
    for message in (
        "one",
        "one",
        " secret",
        "",
        " \n",
        "two\nlines",
        "one",
        "x" * 5001,
        "\U00100000 pasted",
        "é\ud800",
    ):
        history.append_string(message)
    assert entries(file) == ["one", "two\nlines", "one", "é\ufffd"]
    assert history.get_strings() == ["one", "two\nlines", "one", "x" * 5001, "\U00100000 pasted", "é\ud800"]
    assert history.problem() is None


def test_damage_in_the_file_stays_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_bytes(b"\n# 2026-11-28\n+good\n\xff\xfe\x00\n[[[[\n\n# x\n+\x1b[31m\xe2\x80\xae\n\n# y\n+unfinis")
    assert entries(file)[:2] == ["good", "␛[31m"]
    MessageHistory(file).append_string("next")
    assert entries(file)[:2] + entries(file)[-1:] == ["good", "␛[31m", "next"]


def test_it_stays_bounded(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text("".join(f"\n# then\n+{number} {'x' * 1000}\n" for number in range(1500)))
    file.chmod(0o600)
    saved = entries(file)
    assert len(saved) < 1500 and file.stat().st_size < 600_000
    assert saved[-1] == f"1499 {'x' * 1000}" and saved[0].endswith("x" * 1000)
    file.write_text("".join(f"\n# then\n+{number}\n" for number in range(10_000)))
    assert entries(file)[0] == "8000"


APPENDING = """
import sys
from pathlib import Path
from hermes_cli.terminal.prompt.history import MessageHistory
history = MessageHistory(Path(sys.argv[1]))
for number in range(150):
    history.append_string(f"{sys.argv[2]} {number} {'x' * 1000}")
"""


def test_chats_at_the_same_time_do_not_spoil_it(tmp_path: Path) -> None:
    file = tmp_path / "history"
    command = [sys.executable, "-c", APPENDING, str(file)]
    chats = [subprocess.Popen([*command, name], env=child_environment()) for name in "abc"]
    assert [chat.wait() for chat in chats] == [0, 0, 0]
    saved = entries(file)
    for name in "abc":
        numbers = [int(entry.split()[1]) for entry in saved if entry.startswith(f"{name} ")]
        assert numbers == list(range(150))


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "below a file"])
def test_a_file_that_cannot_be_used_is_reported_once(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/full")
    else:
        file.write_text("")
        file = file / "history"
    with desk(file) as chat:
        for message in ("one", "two"):
            assert chat.read(f"{message}\r") == message
        assert chat.read("\x1b[A", "\r") == "two"
    report = capfd.readouterr().err
    assert report.count("\n") == 1
    assert report.startswith(f"the history is not saved: {file}: ")


def test_a_file_that_may_not_be_written_is_still_read(unprivileged: Path) -> None:
    file = unprivileged / "history"
    MessageHistory(file).append_string("old")
    file.chmod(0o400)
    history = MessageHistory(file)
    assert list(history.load_history_strings()) == ["old"]
    history.append_string("new")
    assert "Permission denied" in (history.problem() or "")
