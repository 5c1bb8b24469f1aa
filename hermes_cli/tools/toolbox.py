"""The tools of one chat: loaded from Python files, JSON files and by the names of built-in ones, checked and called."""

import fnmatch
import hashlib
import importlib.util
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hermes_cli.chat.request import TOOL_TIMEOUT_S, CancelToken
from hermes_cli.chat.tool_call import ToolCall, ToolResult, ToolSchema
from hermes_cli.errors import LoadCancelled, UsageError, did_you_mean
from hermes_cli.files import check_hint
from hermes_cli.network.proxies import NETWORK_VARIABLES
from hermes_cli.tools.child.process import CallFailed, Limits, environment
from hermes_cli.tools.child.worker import Worker
from hermes_cli.tools.command_file import CommandRunner, read_commands
from hermes_cli.tools.tool import Runner, Tool

SETTING = "HERMES_CLI_TOOL_SETTING"
_BUILT_IN_FOLDER = Path(__file__).parent / "builtin"


@dataclass(frozen=True, slots=True)
class ReadyCall:
    """A call that satisfies the schema of its tool, and the arguments to run it with."""

    call: ToolCall
    arguments: Mapping[str, Any]


class Toolbox:
    """Tools by name, and the children that run them; close it to end those."""

    def __init__(self, tools: Sequence[tuple[Tool, Runner]] = (), others: Collection[Runner] = ()) -> None:
        """`others` run none of the tools; they are only closed."""
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool, _ in tools}
        self._runners = {tool.name: runner for tool, runner in tools}
        self._opened = {*self._runners.values(), *others}

    def joined(self, tools: Iterable[tuple[Tool, Runner]], runner: Runner) -> "Toolbox":
        """These tools and others of `runner`."""
        return Toolbox([*self._pairs(), *tools], {*self._opened, runner})

    def without(self, runner: Runner) -> "Toolbox":
        """These tools except those of `runner`, which is not closed with them."""
        return Toolbox([pair for pair in self._pairs() if pair[1] is not runner], self._opened - {runner})

    def only(self, patterns: Sequence[str], *, strict: bool = True) -> "Toolbox":
        """The tools that match one of the names or patterns. Raises UsageError, if `strict`, for one without any."""
        for pattern in patterns if strict else ():
            if not fnmatch.filter(self.tools, pattern):
                known = f"available tools: {', '.join(self.tools)}" if self.tools else "no tools are loaded"
                raise UsageError(f"--tools-only {pattern} matches no tool", did_you_mean(pattern, self.tools, known))
        pairs = [pair for pair in self._pairs() if any(fnmatch.fnmatchcase(pair[0].name, one) for one in patterns)]
        return Toolbox(pairs, self._opened)

    def matching(self, words: Sequence[str], *, strict: bool = True) -> "Toolbox":
        """The tools with one of the words in their names or descriptions. Raises UsageError, if `strict`, for none."""
        sought = [word.casefold() for word in words]

        def fits(tool: Tool) -> bool:
            return any(word in f"{tool.name} {tool.description}".casefold() for word in sought)

        pairs = [pair for pair in self._pairs() if fits(pair[0])]
        if strict and not pairs:
            known = f"available tools: {', '.join(self.tools)}" if self.tools else "no tools are loaded"
            raise UsageError(f"--tools-match {','.join(words)} matches no tool", known)
        return Toolbox(pairs, self._opened)

    def _pairs(self) -> list[tuple[Tool, Runner]]:
        return [(tool, self._runners[name]) for name, tool in self.tools.items()]

    @property
    def schemas(self) -> tuple[ToolSchema, ...]:
        """The descriptions for the model."""
        return tuple(tool.schema for tool in self.tools.values())

    def check(self, call: ToolCall) -> ReadyCall | str:
        """The call with its arguments checked, or what is wrong with it in words for the model."""
        from hermes_cli.formats.json.check import faults

        tool = self.tools.get(call.name)
        if tool is None:
            there_are = f"available tools: {', '.join(self.tools)}" if self.tools else "there are no tools"
            return f"there is no tool {call.name[:100]}; {did_you_mean(call.name, self.tools, there_are)}"
        if not _is_json(call.arguments):
            return f"the arguments are not JSON. {_signature(tool)}"
        arguments = _given(tool, call.arguments)
        found = faults(tool.accepted, dict(arguments))
        return f"{'; '.join(found)}. {_signature(tool)}" if found else ReadyCall(call, arguments)

    def run(
        self, ready: ReadyCall, *, timeout_s: float = TOOL_TIMEOUT_S, cancel: CancelToken | None = None
    ) -> ToolResult:
        """Run a checked call: its value, or an error that says what went wrong. Returns whatever the tool does."""
        call = ready.call
        try:
            value = self._runners[call.name].run(call.name, ready.arguments, Limits(timeout_s, cancel))
        except CallFailed as failure:
            return ToolResult(call, approved=True, error=str(failure))
        return ToolResult(call, approved=True, value=value)

    def call(
        self, call: ToolCall, *, timeout_s: float = TOOL_TIMEOUT_S, cancel: CancelToken | None = None
    ) -> ToolResult:
        """Check a call and run it; a wrong one brings its error."""
        ready = self.check(call)
        if isinstance(ready, str):
            return ToolResult(call, approved=True, error=ready)
        return self.run(ready, timeout_s=timeout_s, cancel=cancel)

    def close(self, successor: "Toolbox | None" = None) -> None:
        """End every child that `successor` does not use; a later call would start a new one."""
        for runner in self._opened - (successor._opened if successor else set()):
            runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_toolbox(
    sources: Sequence[str], pass_variables: Collection[str] = (), cancel: CancelToken | None = None
) -> Toolbox:
    """The tools of FILE.py, FILE.json and built-in names (`read_file:FOLDER` with a setting), one after another.

    Their children see little of the environment, and of the rest only `pass_variables`. Raises UsageError, and
    LoadCancelled where a cancel ends the import.
    """
    found: list[tuple[Tool, Runner]] = []
    for name in pass_variables:
        if name not in os.environ:
            raise UsageError(f"there is no variable {name} to pass to the tools", f"set it first: export {name}=...")
    variables = environment(pass_variables)
    with ExitStack() as on_failure:
        opened = []
        for source in dict.fromkeys(sources):
            one = _Source.read(source)
            runner = one.runner(variables)
            on_failure.callback(runner.close)
            opened.append((one, runner))
        for one, runner in opened:
            found += [(tool, runner) for tool in one.tools(runner, cancel)]
        _check_names([tool for tool, _ in found])
        on_failure.pop_all()
    return Toolbox(found)


def built_in_names() -> list[str]:
    """The names of the built-in tools."""
    return sorted(file.stem for file in _BUILT_IN_FOLDER.glob("[a-z]*.py"))


@dataclass(frozen=True, slots=True)
class _Source:
    """What one `--tools` names: a file with its content, and for a built-in tool its name and setting."""

    path: Path
    content: bytes
    built_in: str | None = None
    setting: str = ""

    @classmethod
    def read(cls, source: str) -> "_Source":
        """Raises UsageError for what is not there, or neither Python nor JSON."""
        path = Path(source).expanduser() if source.startswith("~/") else Path(source)
        name, _, setting = source.partition(":")
        if path.suffix not in (".py", ".json"):
            names = built_in_names()
            if name not in names:
                known = f"give a file that ends in .py or .json, or one of {', '.join(names)}"
                raise UsageError(f"there is no built-in tool {name}", did_you_mean(name, names, known))
            path = _BUILT_IN_FOLDER / f"{name}.py"
        else:
            name, setting = "", ""
        try:
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a file", "give a file that ends in .py or .json")
            return cls(path.absolute(), path.read_bytes(), name or None, setting)
        except OSError as error:
            raise UsageError(f"cannot read the tools {path}: {error.strerror}", check_hint(path)) from error

    def runner(self, variables: Mapping[str, str]) -> Runner:
        """What runs the tools; a child that imports them has been started."""
        if self.path.suffix == ".json":
            return CommandRunner(*read_commands(self.path, self.content, self._sha256()), variables)
        if self.built_in:  # built-in tools may use the proxy variables, which can contain a password
            variables = {**environment(NETWORK_VARIABLES), **variables, SETTING: self.setting}
        worker = Worker(self.path, self._text(), variables)
        worker.start()
        return worker

    def tools(self, runner: Runner, cancel: CancelToken | None) -> list[Tool]:
        """The tools as they are described. Raises UsageError."""
        if isinstance(runner, CommandRunner):
            return runner.tools
        assert isinstance(runner, Worker)
        try:
            described = runner.describe(cancel)
        except UsageError as problem:
            if cancel and cancel.cancelled:
                raise LoadCancelled("loading the tools was stopped", "run the command again") from problem
            raise
        if not described:
            raise UsageError(
                f"{self.path.name} defines no public function", "define one whose name begins with a letter"
            )
        origin = "built-in" if self.built_in else str(self.path)
        return [
            Tool(
                one["name"],
                one["description"],
                one["parameters"],
                one["read_only"],
                origin,
                self._sha256(),
                one["line"],
                one["returns"],
            )
            for one in described
        ]

    def _text(self) -> str:
        try:
            return importlib.util.decode_source(self.content)
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise UsageError(f"{self.path.name} is not Python text: {error}", "save it as UTF-8") from error

    def _sha256(self) -> str:
        return hashlib.sha256(self.content + b"\0" + self.setting.encode()).hexdigest()


def _check_names(tools: Sequence[Tool]) -> None:
    """Raise UsageError where two sources have a tool of one name."""
    first: dict[str, Tool] = {}
    for tool in tools:
        other = first.setdefault(tool.name, tool)
        if other is not tool:
            places = " and ".join(f"{one.origin}, line {one.line}" if one.line else one.origin for one in (other, tool))
            raise UsageError(f"two tools are named {tool.name}: {places}", "rename one of them")


def _is_json(value: object) -> bool:
    """Whether JSON can hold it; a call in Python's notation may have brought other things."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _given(tool: Tool, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments without a null for what may be left out: models write it to say just that."""
    from hermes_cli.formats.json.check import faults

    required = tool.parameters.get("required") or ()
    properties = tool.parameters.get("properties") or {}
    shared = {key: tool.parameters[key] for key in ("$schema", "$defs", "definitions") if key in tool.parameters}
    left_out = {
        name
        for name, value in arguments.items()
        if value is None
        and name not in required
        and name in properties
        and faults({**shared, "properties": {name: properties[name]}}, {name: None})
    }
    return {name: value for name, value in arguments.items() if name not in left_out}


def _signature(tool: Tool) -> str:
    """What the tool takes, to end an error with."""
    required = tool.parameters.get("required") or ()
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    if not properties:
        return f"{tool.name} takes no arguments"
    taken = [name if name in required else f"{name} (may be left out)" for name in properties]
    return f"{tool.name} takes {', '.join(taken)}"
