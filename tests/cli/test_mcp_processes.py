"""The processes of MCP servers: when they start, and that they end with the program in every case."""

import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import OnScreen, Screen, Start
from tests.conftest import Hermes

pytest.importorskip("mcp")
SCRIPT = Path(__file__).parents[1] / "tools" / "mcp_server.py"
ACT = ("-m", "demo", "-t", "0", "--tools-only", "act", "--tool-choice", "act", "--max-rounds", "1", "--yes")


def command(behaviour: str, mark: Path) -> str:
    """A server that can be found by `mark`, a file that collects what it is sent."""
    return shlex.join([sys.executable, str(SCRIPT), behaviour, str(mark)])


def processes(mark: Path) -> list[psutil.Process]:
    """The servers and what they started; only the program itself has another first argument."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if (
                one.status() != psutil.STATUS_ZOMBIE
                and one.cmdline()[1:2] == [str(SCRIPT)]
                and str(mark) in one.cmdline()
            ):
                found.append(one)
    return found


def wait_until(seen: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.05)


def running_chat(on_screen: OnScreen, mark: Path, behaviour: str = "stubborn") -> Screen:
    """A chat whose server runs."""
    screen = on_screen("chat", "-m", "demo", "--no-save", "--mcp", command(behaviour, mark))
    screen.say("/tools")
    screen.shows("Enter: no change")
    assert "environment" in screen.text
    screen.type("\x03")
    screen.prompt()
    assert processes(mark)
    return screen


def test_a_server_starts_with_the_first_message(on_screen: OnScreen, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    screen = on_screen("chat", "-m", "demo", "-n", "3", "--no-save", "--mcp", command("well", mark))
    screen.prompt()
    assert processes(mark) == []
    screen.say("Hello")
    screen.shows("3 tools: ")
    screen.prompt()
    assert len(processes(mark)) == 1
    screen.type("\x04")
    assert screen.ended() == 0
    assert processes(mark) == []


def test_ctrl_c_ends_the_start_and_the_message_stays(on_screen: OnScreen, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    screen = on_screen("chat", "-m", "demo", "--no-save", "--mcp", command("silent", mark))
    screen.say("Hello")
    screen.shows("starting MCP servers")
    screen.type("\x03")
    screen.shows("the MCP servers are not started; the next message starts them")
    screen.shows("> Hello", 2)
    wait_until(lambda: not processes(mark))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_process_is_left_after_a_signal(on_screen: OnScreen, tmp_path: Path, number: int) -> None:
    screen = running_chat(on_screen, tmp_path / "mark")
    screen.child.kill(number)
    wait_until(lambda: not processes(tmp_path / "mark"))


def test_no_process_is_left_after_the_chat(on_screen: OnScreen, tmp_path: Path) -> None:
    screen = running_chat(on_screen, tmp_path / "mark")
    screen.type("\x04")
    assert screen.ended() == 0
    assert processes(tmp_path / "mark") == []


def test_only_the_named_server_starts_or_ends_and_resources_come_from_the_running_one(
    hermes: Hermes, tmp_path: Path
) -> None:
    marks = [tmp_path / "first", tmp_path / "second"]
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.toml").write_text(
        "".join(
            f"[mcp.servers.{mark.name}]\ncommand = {sys.executable!r}\nargs = {[str(SCRIPT), 'well', str(mark)]}\n"
            for mark in marks
        )
    )

    def starts(*lines: str) -> list[int]:
        """How often each server starts while a chat gets these lines."""
        for mark in marks:
            mark.unlink(missing_ok=True)
        home = {"HERMES_CLI_CONFIG_DIR": str(config)}
        result = hermes("chat", "-m", "demo", "--no-save", stdin="\n".join(lines) + "\n", env=home)
        assert "error" not in result.err
        return [mark.read_text().count('"initialize"') if mark.exists() else 0 for mark in marks]

    both = ("/mcp first on", "/mcp second on")
    assert starts(*both, "/mcp second off", "/tools calculate", "/tools -", "/tools") == [1, 1]
    assert starts(*both, "/attach mcp:first/note://1", "/preset second:write topic=cheese") == [1, 1]
    assert starts(*both, "/mcp first on") == [2, 1]
    assert starts("/attach mcp:first/note://1") == [1, 0]
    assert not any(map(processes, marks))


def test_ctrl_c_ends_the_start_of_one_server_and_leaves_the_others(on_screen: OnScreen, tmp_path: Path) -> None:
    running, silent = tmp_path / "running", tmp_path / "silent"
    screen = running_chat(on_screen, running, "well")
    screen.say(f"/mcp {shlex.quote(command('silent', silent))} on")
    wait_until(lambda: processes(silent))
    before = processes(running)
    screen.type("\x03")
    screen.shows("the MCP servers are not started; the next message starts them")
    wait_until(lambda: not processes(silent))
    assert processes(running) == before
    screen.say(f"/mcp {shlex.quote(command('silent', silent))} off")
    screen.prompt()
    assert processes(running) == before
    screen.type("\x04")
    assert screen.ended() == 0
    assert processes(running) == []


def test_ctrl_c_cancels_a_call_and_notifies_the_server(on_screen: OnScreen, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    screen = on_screen("chat", *ACT, "--no-save", "--mcp", command("hangs", mark))
    screen.say("Do it.")
    screen.shows("running act")
    wait_until(lambda: "tools/call" in mark.read_text())
    screen.type("\x03")
    wait_until(lambda: "notifications/cancelled" in mark.read_text())
    screen.prompt()
    assert processes(mark), "the server stays for the next call"
    screen.type("\x04")
    assert screen.ended() == 0
    assert processes(mark) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_of_a_single_answer(start: Start, tmp_path: Path, number: int) -> None:
    mark = tmp_path / "mark"
    child = start("ask", *ACT, "--mcp", command("endless progress", mark), "Do it.")
    wait_until(lambda: mark.exists() and "tools/call" in mark.read_text())
    child.send_signal(number)
    wait_until(lambda: not processes(mark))
    assert child.wait(20) == (-number if number == signal.SIGKILL else 128 + number)
