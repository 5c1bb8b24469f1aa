"""A tool file at work: one child process that imports it, answers calls, and is replaced when it dies."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import UsageError
from hermes_cli.tools.child.channel import Channel
from hermes_cli.tools.child.process import CallFailed, Limits, environment
from hermes_cli.tools.results import LIMIT_CHARACTERS

_IMPORT_S = 60.0


class Worker:
    """Imports and calls in a child what `source`, the text of the file `path`, defines.

    The child sees `variables` as its environment. The source is kept here, so that a new child runs the same.
    """

    def __init__(self, path: Path, source: str, variables: Mapping[str, str]) -> None:
        self.path = path
        self._first = {"path": str(path), "source": source}
        self._variables = dict(variables)
        self._child: Channel | None = None

    def start(self) -> None:
        """Start the child now, so that it can be asked sooner."""
        if self._child is None:
            self._child = Channel("main", self._variables)

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
                raise _file_fault(self.path.name, answer, f"change {self.path}; names that begin with _ are not tools")
        self.close()
        raise CallFailed("the tool broke its own process and returned no result")


def model_schema(name: str, path: Path | None) -> Any:
    """The JSON Schema of the model `name` in the file `path`, or of `module:Model`. Raises UsageError."""
    shown = path.name if path else name.partition(":")[0]
    hint = "give FILE.py:Model or module:Model; in the short form, put a space before the type: age int"
    child = Channel("main", environment())
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
            raise _file_fault(shown, answer, hint)
    raise UsageError(f"{shown} broke the process it was imported in", hint)


def _file_fault(shown: str, answer: Mapping[str, Any], hint: str) -> UsageError:
    """What the child found wrong with a file, with the line and the function."""
    message, line, function = answer["fault"], answer.get("line"), answer.get("function")
    place = f"{shown}, line {line}" if line else shown
    if "not installed" in message:
        hint = f"install it there: {sys.executable} -m pip install NAME"
    return UsageError(f"{place}: {function} {message}" if function else f"{place} {message}", hint)
