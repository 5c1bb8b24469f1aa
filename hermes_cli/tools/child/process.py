"""Child processes that the model's calls run in: what they may see, how long they may take, how they are ended."""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.chat.request import CancelToken

if TYPE_CHECKING:
    import psutil

_PASSED = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
_MARK = "HERMES_CLI_TOOL_PROCESS"
POLL_S = 0.05


class CallFailed(Exception):
    """Why a call brought no result, in words for the model and the user."""


class Limits:
    """When a call must end: after a time, or when the user cancels it."""

    def __init__(self, timeout_s: float, cancel: CancelToken | None = None) -> None:
        self._timeout_s, self._cancel = timeout_s, cancel
        self._end = time.monotonic() + timeout_s

    def with_timeout(self, timeout_s: float) -> "Limits":
        """Another time, from now on, and the same token."""
        return Limits(timeout_s, self._cancel)

    @property
    def timeout_s(self) -> float:
        """The whole time."""
        return self._timeout_s

    def check(self) -> None:
        """Raise CallFailed if the call must end now."""
        if self._cancel and self._cancel.cancelled:
            raise CallFailed(f"the call was stopped by {self._cancel.stopper}")
        if time.monotonic() >= self._end:
            raise CallFailed(f"the call took longer than {self._timeout_s:g} s and was ended")


def environment(passed: Collection[str] = ()) -> dict[str, str]:
    """What a tool sees of the environment: where programs, home, language and time zone are, and what is `passed`."""
    return {
        name: value for name, value in os.environ.items() if name in _PASSED or name.startswith("LC_") or name in passed
    }


def start(
    command: Sequence[str | Path],
    variables: dict[str, str],
    *,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.STDOUT,
    channel: int | None = None,
) -> "Child":
    """A child in a session of its own, which has no terminal; what it prints can be read from its stdout."""
    mark = os.urandom(8).hex()
    process = subprocess.Popen(
        command,
        env={**variables, _MARK: mark},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=0,
        start_new_session=True,
        pass_fds=() if channel is None else (channel,),
    )
    return Child(process, mark)


@dataclass(frozen=True, slots=True)
class Child:
    """A process, and the mark by which all that came from it can be found."""

    process: "subprocess.Popen[bytes]"
    mark: str

    def end(self, *, thorough: bool) -> None:
        """Kill the process, its group and its children, and wait for it; if `thorough`, also what cut its ties."""
        import psutil

        others: list[psutil.Process] = []
        if self.process.poll() is None:
            with suppress(psutil.Error):
                others = psutil.Process(self.process.pid).children(recursive=True)
        if thorough:
            others += self._strays()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for one in others:
            with suppress(psutil.Error):
                one.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with suppress(OSError):
                    stream.close()

    def _strays(self) -> "Iterator[psutil.Process]":
        """What the process left behind, wherever it went: the mark is in its environment."""
        import psutil

        for one in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if one.environ().get(_MARK) == self.mark:
                    yield one


def how_it_ended(code: int) -> str:
    """The exit code of a child in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    reason = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"was killed by {name}{reason}"
