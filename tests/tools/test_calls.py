"""Calls and their faults, in real children: whatever a tool does, a result comes back and the next call works."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.tools.results import LIMIT_CHARACTERS
from hermes_cli.tools.toolbox import Toolbox, load_toolbox
from tests.conftest import Script
from tests.tools.conftest import Load, ToolFile, call

FAULTY = '''
import os, signal, sys, subprocess, time, threading

calls = 0

def count() -> int:
    """Count the calls."""
    global calls
    calls += 1
    return calls

def look(what: str) -> str:
    """Look at the process."""
    if what == "environment":
        return dict(os.environ)
    if what == "stdin":
        return sys.stdin.read()
    if what == "terminal":
        return open("/dev/tty").read()
    if what == "session":
        return os.getsid(0) == os.getpid()
    if what == "oom":
        return open("/proc/self/oom_score_adj").read().strip()

def misbehave(how: str, marker: str = "") -> object:
    """Misbehave."""
    if how == "hang":
        while True:
            try:
                time.sleep(100)
            except BaseException:
                pass
    if how == "raise":
        raise ValueError("no such city")
    if how == "raise oddly":
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        raise Odd
    if how == "long error":
        raise ValueError("x" * 100_000)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "sys.exit":
        sys.exit("bye")
    if how == "os._exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "print":
        print("x" * 1_000_000)
        sys.stderr.write("y" * 1_000_000)
        return "printed"
    if how == "print for ever":
        while True:
            print("x" * 10_000)
    if how == "close everything":
        os.closerange(0, 256)
        return 1
    if how == "write everywhere":
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b"{]\\n")
            except OSError:
                pass
        return 1
    if how == "forge":
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b'["no answer"]\\n')
            except OSError:
                pass
        return 1
    if how == "object":
        return object()
    if how == "cycle":
        own = []
        own.append(own)
        return own
    if how == "large number":
        return 10**6000
    if how == "deep list":
        deep = []
        for _ in range(100_000):
            deep = [deep]
        return deep
    if how == "bytes":
        return b"\\xff\\x00"
    if how == "big":
        return "x" * 50_000_000
    if how == "big list":
        return list(range(1_000_000))
    if how == "fork":
        return os.fork() > 0
    if how == "thread":
        threading.Thread(target=time.sleep, args=(100,)).start()
        return "started"
    child = f"import time; time.sleep(100) # {marker}"
    if how == "child and hang":
        subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
        time.sleep(100)
    if how == "daemon and exit":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-c", child])
            os._exit(0)
        os.wait()
        os._exit(0)
'''


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    """Tools that misbehave, shared by the tests of this module: each must leave them usable."""
    path = tmp_path_factory.mktemp("faulty") / "tools.py"
    path.write_text(FAULTY)
    with load_toolbox([str(path)]) as toolbox:
        yield toolbox


@pytest.fixture
def marker(tmp_path: Path) -> str:
    """A word by which a child of this test is found."""
    return f"marker-{tmp_path.name}-{os.getpid()}"


def running(marker: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(marker in word for word in process.info["cmdline"] or ()):
            found.append(process.pid)
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true within ten seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raise", r"ValueError: no such city (tools.py, line "),
        ("raise oddly", "Odd (tools.py"),
        ("long error", "ValueError: xxx"),
        ("interrupt", "KeyboardInterrupt"),
        ("sys.exit", "the tool ended itself: sys.exit('bye')"),
        ("object", "the tool's result cannot be represented in JSON: it holds a value of the class object"),
        ("cycle", "the tool's result cannot be represented in JSON: Circular reference"),
        ("bytes", "the tool's result cannot be represented in JSON: "),
        ("large number", "the tool's result cannot be represented in JSON: "),
        ("deep list", "the tool's result cannot be represented in JSON: "),
    ],
)
def test_error_of_a_tool_is_returned_and_its_state_stays(faulty: Toolbox, how: str, error: str) -> None:
    before = call(faulty, "count").value
    result = call(faulty, "misbehave", how=how)
    assert result.error is not None and error in result.error and len(result.error) < 2100
    assert (result.value, result.approved) == (None, True)
    assert call(faulty, "count").value == before + 1


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("os._exit", "the tool's process ended with exit code 3"),
        ("kill", "the tool's process was killed by SIGKILL, perhaps because memory ran out"),
        ("crash", "the tool's process was killed by SIGSEGV: last words"),
        ("close everything", "the tool's process "),
        ("write everywhere", "the tool broke its own process and returned no result"),
        ("forge", "the tool broke its own process and returned no result"),
    ],
)
def test_a_dead_child_is_replaced(faulty: Toolbox, how: str, error: str) -> None:
    call(faulty, "count")
    result = call(faulty, "misbehave", how=how)
    assert result.error is not None and error in result.error
    assert call(faulty, "count").value == 1


@pytest.mark.parametrize("how", ["hang", "print for ever"])
def test_a_call_that_takes_too_long_is_ended(faulty: Toolbox, how: str) -> None:
    result = call(faulty, "misbehave", how=how, timeout_s=0.3)
    assert result.error == "the call took longer than 0.3 s and was ended"
    assert call(faulty, "count").value == 1


@pytest.mark.parametrize(("reason", "stopper"), [("interrupt", "the user"), ("timeout", "the time limit")])
def test_a_call_can_be_cancelled_and_reports_by_whom(faulty: Toolbox, reason: str, stopper: str) -> None:
    cancel = CancelToken()
    timer = threading.Timer(0.2, cancel.cancel, args=(reason,))
    timer.start()
    result = faulty.call(ToolCall("misbehave", {"how": "hang"}), cancel=cancel)
    timer.join()
    assert result.error == f"the call was stopped by {stopper}"
    assert call(faulty, "count").value == 1


def test_what_a_tool_prints_is_not_its_result(faulty: Toolbox, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(faulty, "misbehave", how="print").value == "printed"
    assert capfd.readouterr() == ("", "")


def test_long_results_are_cut_with_a_notice(faulty: Toolbox) -> None:
    notice = f"\n[cut here: the output is longer than {LIMIT_CHARACTERS:,} characters]"
    assert call(faulty, "misbehave", how="big").value == "x" * LIMIT_CHARACTERS + notice
    numbers = call(faulty, "misbehave", how="big list").value
    assert numbers.startswith("[0, 1, 2, ") and numbers.endswith(notice)
    assert len(numbers) == LIMIT_CHARACTERS + len(notice)


def test_forking_tool_returns_one_result(faulty: Toolbox) -> None:
    before = call(faulty, "count").value
    assert call(faulty, "misbehave", how="fork").value is True
    assert call(faulty, "misbehave", how="thread").value == "started"
    assert call(faulty, "count").value == before + 1


def test_what_a_call_started_ends_with_it(faulty: Toolbox, marker: str) -> None:
    result = call(faulty, "misbehave", how="child and hang", marker=marker, timeout_s=1)
    assert result.error is not None
    assert eventually(lambda: running(marker) == [])


def test_a_daemon_does_not_outlive_its_child(faulty: Toolbox, marker: str) -> None:
    result = call(faulty, "misbehave", how="daemon and exit", marker=marker)
    assert result.error == "the tool's process ended with exit code 0"
    assert eventually(lambda: running(marker) == [])


def test_children_end_with_the_program_even_in_the_middle_of_a_call(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "tools.py"
    path.write_text(FAULTY)
    code = """
        import os, sys, threading, time
        from hermes_cli.tools.toolbox import load_toolbox
        from hermes_cli.chat.tool_call import ToolCall
        import psutil

        toolbox = load_toolbox([sys.argv[1]])
        threading.Thread(target=toolbox.call, args=(ToolCall("misbehave", {"how": "hang"}),)).start()
        time.sleep(0.3)
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os.kill(os.getpid(), 9)
    """
    result = script(code, path)
    pids = [int(word) for word in result.out.split()]
    assert (result.code, len(pids)) == (-signal.SIGKILL, 1)
    assert eventually(lambda: not psutil.pid_exists(pids[0]))


def test_close_ends_the_children(faulty: Toolbox) -> None:
    call(faulty, "count")
    before = psutil.Process().children()
    assert any("child.main" in " ".join(child.cmdline()) for child in before)
    faulty.close()
    left = [child for child in psutil.Process().children() if child in before]
    assert left == []
    assert call(faulty, "count").value == 1


def test_the_child_sees_little_of_the_environment(
    tool_file: ToolFile, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("WEATHER_KEY", "k")
    monkeypatch.setenv("LC_TIME", "C")
    seen = call(tool_file(FAULTY), "look", what="environment").value
    assert "s3cret" not in seen.values()
    assert {"PATH", "LC_TIME"} <= set(seen)
    assert not {"SECRET_TOKEN", "WEATHER_KEY", "PYTHONPATH", "HERMES_CLI_CONFIG_DIR"} & set(seen)
    passed = load(str(tmp_path / "tools.py"), pass_variables=("WEATHER_KEY",))
    assert call(passed, "look", what="environment").value["WEATHER_KEY"] == "k"


def test_the_child_has_no_terminal_and_goes_first_when_memory_runs_out(faulty: Toolbox) -> None:
    assert call(faulty, "look", what="stdin").value == ""
    assert call(faulty, "look", what="session").value is True
    error = call(faulty, "look", what="terminal").error
    assert error is not None and "/dev/tty" in error
    if Path("/proc/self/oom_score_adj").exists():
        assert call(faulty, "look", what="oom").value == "1000"


def test_the_code_that_was_described_is_what_runs(tool_file: ToolFile, tmp_path: Path) -> None:
    toolbox = tool_file('import os\ndef f(end: bool = False) -> int:\n  "D."\n  return os._exit(1) if end else 1')
    (tmp_path / "tools.py").write_text('def f() -> int:\n  "D."\n  return 2')
    assert call(toolbox, "f", end=True).error is not None
    assert call(toolbox, "f").value == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"cty": "Oslo"}, "city is missing; unknown key cty; did you mean city?"),
        ({"city": 5}, "city must be a string, not 5"),
        ({"city": "Oslo", "unit": "kelvin"}, 'unit must be one of "c", "f", not "kelvin"'),
        ({"city": "Oslo", "days": "two"}, 'days must be an integer, not "two"'),
        ({"city": "Oslo", "days": True}, "days must be an integer, not true"),
        ({"city": "Oslo", "at": [1]}, "at must have at least 2 entries, not 1"),
        ({"city": None}, "city must be a string, not null"),
        ({"city": b"Oslo"}, "the arguments are not JSON"),
    ],
)
def test_wrong_arguments_are_reported_in_words(tool_file: ToolFile, arguments: dict[str, object], error: str) -> None:
    text = """
        from typing import Literal
        Place = tuple[int, int]
        def weather(city: str, unit: Literal["c", "f"] = "c", days: int | None = None, at: Place = (0, 0)) -> str:
            "Report it."
            return f"{city} {days}"
    """
    toolbox = tool_file(text)
    wrong = ToolCall("weather", arguments)
    whole = f"{error}. weather takes city, unit (may be left out), days (may be left out), at (may be left out)"
    assert toolbox.check(wrong) == whole
    assert toolbox.call(wrong).error == whole
    assert call(toolbox, "weather", city="Oslo", days=None).value == "Oslo None"


def test_an_unknown_tool_is_answered_with_the_known_ones(faulty: Toolbox) -> None:
    assert faulty.check(ToolCall("cuont", {})) == "there is no tool cuont; did you mean count?"
    assert faulty.check(ToolCall("zzz", {})) == "there is no tool zzz; available tools: count, look, misbehave"
    assert Toolbox().check(ToolCall("zzz", {})) == "there is no tool zzz; there are no tools"
