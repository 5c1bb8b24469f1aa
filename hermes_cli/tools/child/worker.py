"""A tool file at work: one child process that imports it, answers calls, and is replaced when it dies."""

import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import UsageError
from hermes_cli.tools.child.process import POLL_S, CallFailed, Limits, environment, how_it_ended, start
from hermes_cli.tools.results import LIMIT_CHARACTERS

_MOST_BYTES = 16_000_000
_KEPT_BYTES = 2000
_IMPORT_S = 60.0
# -P: a file in the working folder must not be able to take the place of a module.
_START = (sys.executable, "-P", "-c", "from hermes_cli.tools.child.main import main; main(%d)")


class Worker:
    """Imports and calls in a child what `source`, the text of the file `path`, defines.

    The child sees `variables` as its environment. The source is kept here, so that a new child runs the same.
    """

    def __init__(self, path: Path, source: str, variables: Mapping[str, str]) -> None:
        self.path = path
        self._first = {"path": str(path), "source": source}
        self._variables = dict(variables)
        self._child: _Channel | None = None

    def start(self) -> None:
        """Start the child now, so that it can be asked sooner."""
        if self._child is None:
            self._child = _Channel(self._variables)

    def describe(self, cancel: CancelToken | None = None) -> list[dict[str, Any]]:
        """Name, description, parameters, `read_only` and line of every tool. Raises UsageError, also after a cancel."""
        described: list[dict[str, Any]] = self._answer({"describe": True}, Limits(_IMPORT_S, cancel))
        return described

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """The result of a call. Raises CallFailed."""
        try:
            return self._answer({"call": name, "arguments": arguments, "limit": LIMIT_CHARACTERS}, limits)
        except UsageError as problem:
            raise CallFailed(problem.message) from problem

    def close(self) -> None:
        """End the child and all it started."""
        child, self._child = self._child, None
        if child:
            child.close()

    def _answer(self, request: dict[str, Any], limits: Limits) -> Any:
        """The `value` of the child's answer. Raises UsageError for a fault of the file, CallFailed for a call's."""
        self.start()
        assert self._child
        first = {} if self._child.was_asked else self._first
        try:
            answer = self._child.ask({**first, **request}, limits)
        except BaseException as problem:
            self.close()
            if isinstance(problem, CallFailed) and "call" not in request:
                message = f"{self.path.name} cannot be imported: {problem}"
                raise UsageError(message, f"change {self.path}") from problem
            raise
        match answer:
            case {"value": value}:
                return value
            case {"error": str(error)}:
                raise CallFailed(error)
            case {"fault": str()}:
                raise _told_fault(self.path.name, answer, f"change {self.path}; a name that begins with _ is no tool")
        self.close()
        raise CallFailed("the tool disturbed its own process, and gave no result")


def model_schema(name: str, path: Path | None) -> Any:
    """The JSON Schema of the model `name` in the file `path`, or of `module:Model`. Raises UsageError."""
    shown = path.name if path else name.partition(":")[0]
    hint = "give FILE.py:Model or module:Model; in the short form a space goes before a type: age int"
    child = _Channel(environment())
    try:
        answer = child.ask({"model": name, "file": str(path) if path else None}, Limits(_IMPORT_S))
    except CallFailed as problem:
        raise UsageError(f"{shown} cannot be imported: {problem}", hint) from problem
    finally:
        child.close()
    match answer:
        case {"value": value}:
            return value
        case {"fault": str()}:
            raise _told_fault(shown, answer, hint)
    raise UsageError(f"{shown} disturbed the process it was imported in", hint)


class _Channel:
    """The running process, a channel to it, and the last of what it printed."""

    def __init__(self, variables: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        command = (*_START[:-1], _START[-1] % descriptor)
        packages = os.pathsep.join(path for path in sys.path if path)
        self._child = start(command, {**variables, "PYTHONPATH": packages}, channel=descriptor)
        self._process = self._child.process
        theirs.close()
        ours.setblocking(False)
        self._channel = ours
        self._printed = b""
        self.was_asked = False
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._selector.register(ours, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def ask(self, request: Mapping[str, Any], limits: Limits) -> Any:
        """What the child answers. Raises CallFailed if it dies, takes too long or is not understood."""
        self.was_asked = True
        out, answer = json.dumps(request).encode() + b"\n", b""
        self._selector.modify(self._channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while b"\n" not in answer:
            limits.check()
            dead, before = self._process.poll() is not None, len(answer)
            for key, events in self._selector.select(0 if dead else POLL_S):
                if key.fileobj is not self._channel:
                    self._take_print()
                    continue
                if events & selectors.EVENT_WRITE:
                    out = self._send(out)
                if events & selectors.EVENT_READ:
                    answer += self._receive()
            # A copy of the child may hold the channel open: its end alone does not tell.
            if dead and len(answer) == before:
                raise CallFailed(self._last_words())
            if len(answer) > _MOST_BYTES:
                raise CallFailed("the tool sent more than its process may send")
        return _parsed(answer.partition(b"\n")[0])

    def close(self) -> None:
        """End the process and all it started."""
        # While it lives it is the parent of all it started, and it lives at least until its channel is closed.
        self._child.end(thorough=self._process.poll() is not None)
        self._selector.close()
        self._channel.close()

    def _send(self, out: bytes) -> bytes:
        """What could not be sent yet."""
        with suppress(BlockingIOError, OSError):
            out = out[self._channel.send(out) :]
        if not out:
            self._selector.modify(self._channel, selectors.EVENT_READ)
        return out

    def _receive(self) -> bytes:
        try:
            part = self._channel.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            part = b""
        if not part:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            raise CallFailed(self._last_words())
        return part

    def _take_print(self) -> None:
        """Keep the end of what the tool printed, so that it never waits for a reader."""
        assert self._process.stdout
        try:
            part = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part and self._process.stdout in self._selector.get_map():
            self._selector.unregister(self._process.stdout)
        self._printed = (self._printed + part)[-_KEPT_BYTES:]

    def _last_words(self) -> str:
        self._take_print()
        code = self._process.poll()
        how = "closed its own connection" if code is None else how_it_ended(code)
        said = self._printed.decode("utf-8", "replace").strip().splitlines()
        return f"the tool's process {how}" + (f": {said[-1][:500]}" if said else "")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _told_fault(shown: str, answer: Mapping[str, Any], hint: str) -> UsageError:
    """What the child found wrong with a file, with the line and the function."""
    message, line, function = answer["fault"], answer.get("line"), answer.get("function")
    place = f"{shown}, line {line}" if line else shown
    if "not installed" in message:
        hint = f"install it there: {sys.executable} -m pip install NAME"
    return UsageError(f"{place}: {function} {message}" if function else f"{place} {message}", hint)
