"""The child process of a tool file: requests come in and answers go out as lines of JSON.

The child has no model, no terminal and no secrets. When the program ends, so does the child.
"""

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hermes_cli.tools.child.python_file import ToolFile

_SUBREAPER = 36
_LONGEST_ERROR = 2000
_BUILT_IN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "builtin")  # noqa: PTH118, PTH120 - pathlib costs time


def main(channel: int) -> None:
    """Serve until the other end of `channel` closes; the first request names the file and brings its source."""
    os.set_inheritable(channel, False)
    os.environ.pop("PYTHONPATH", None)  # it was needed for the start; children of the tool do not inherit it
    keep_the_machine_safe()
    owner = os.getpid()
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(channel, requests), daemon=True).start()
    server = _Server()
    while True:
        answer = server.answer(json.loads(requests.get()))
        if os.getpid() != owner:
            os._exit(0)  # a tool has forked, and this is the copy
        line = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        while line:
            line = line[os.write(channel, line) :]


def _read(channel: int, requests: "SimpleQueue[bytes]") -> None:
    """Pass requests on. At the end of the program nothing of this child's group stays, whatever a tool is doing."""
    waiting = b""
    with suppress(OSError):
        while part := os.read(channel, 1 << 16):
            *lines, waiting = (waiting + part).split(b"\n")
            for line in lines:
                requests.put(line)
    os.killpg(0, signal.SIGKILL)


def keep_the_machine_safe() -> None:
    """Be killed first when memory runs out, leave no core file, and stay the parent of everything a tool starts."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib is not needed here
        file.write("1000")
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


class _Server:
    def __init__(self) -> None:
        self._path = self._source = ""
        self._file: ToolFile | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The outcome of one request: a `value`, an `error` of a call, or a `fault` of the file."""
        from hermes_cli.tools.child.signature import ToolFault

        try:
            match request:
                case {"path": path, "source": source, **rest}:
                    self._path, self._source = path, source
                    self._loaded()
                    return self.answer(rest) if rest else {"value": None}
                case {"describe": True}:
                    return {"value": self._loaded().describe()}
                case {"call": name, "arguments": arguments, "limit": limit}:
                    return self._call(name, arguments, limit)
                case {"model": name, "file": path}:
                    from hermes_cli.tools.child.python_file import model_schema

                    return {"value": model_schema(name, path)}
        except ToolFault as fault:
            return {"fault": fault.message, "line": fault.line, "function": fault.function}
        return {"fault": "was asked for what it does not know"}

    def _loaded(self) -> "ToolFile":
        from hermes_cli.tools.child.python_file import ToolFile

        if self._file is None:
            self._file = ToolFile(self._path, self._source)
        return self._file

    def _call(self, name: str, arguments: dict[str, Any], limit: int) -> dict[str, Any]:
        from hermes_cli.errors import shortened
        from hermes_cli.tools.child.python_file import in_words
        from hermes_cli.tools.child.signature import CallFault
        from hermes_cli.tools.results import limited

        file = self._loaded()
        try:
            value = file.call(name, arguments)
            try:
                return {"value": limited(value, limit)}
            except (ValueError, RecursionError) as error:
                raise CallFault(f"the tool's result cannot be represented in JSON: {error}") from error
        except CallFault as fault:
            return {"error": shortened(str(fault), _LONGEST_ERROR)}
        except SystemExit as leaving:
            return {"error": f"the tool ended itself: sys.exit({leaving.code!r:.200})"}
        except BaseException as error:
            folder, _, name = self._path.rpartition(os.sep)
            line = file.where(error)
            if folder == _BUILT_IN and isinstance(error, ValueError):
                return {"error": shortened(str(error), _LONGEST_ERROR)}  # it is worded for the model already
            return {"error": shortened(in_words(error), _LONGEST_ERROR) + (f" ({name}, line {line})" if line else "")}
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
