"""A JSON file as tools: OpenAI-style descriptions, each bound to a command line that runs without a shell."""

import json
import os
import re
import selectors
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.formats.json.check import checked
from hermes_cli.tools.child.process import POLL_S, CallFailed, Limits, how_it_ended, start
from hermes_cli.tools.child.signature import NAME
from hermes_cli.tools.results import LIMIT_CHARACTERS, cut, limited
from hermes_cli.tools.tool import Tool

_KEYS = ("type", "function", "command", "stdin", "read_only", "name", "description", "parameters", "return", "strict")
_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_KEPT_ERROR_BYTES = 2000

Word = str | list[str]


@dataclass(frozen=True, slots=True)
class Command:
    """The words of a command line; a nested list is left out if one of its arguments is not given."""

    words: Sequence[Word]
    program: str
    json_on_stdin: bool

    def line(self, arguments: Mapping[str, Any]) -> list[str]:
        """The words for these arguments; those of arguments that are not given are left out. Raises CallFailed."""
        filled = [self.program]
        safe = False
        for group in self.words[1:]:
            words = [group] if isinstance(group, str) else group
            if all(name in arguments for word in words for name in placeholders(word)):
                filled += [_filled(word, arguments, safe) for word in words]
            safe = safe or "--" in words
        return filled


class CommandRunner:
    """Runs the commands of `tools`, one child for each call. The child sees `variables` as its environment."""

    def __init__(self, tools: list[Tool], commands: Mapping[str, Command], variables: Mapping[str, str]) -> None:
        self.tools, self._commands, self._variables = tools, commands, dict(variables)

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """What the command printed, parsed where it is JSON. Raises CallFailed."""
        command = self._commands[name]
        given = json.dumps(dict(arguments)).encode() if command.json_on_stdin else None
        stdin = subprocess.DEVNULL if given is None else subprocess.PIPE
        try:
            child = start(command.line(arguments), self._variables, stdin=stdin, stderr=subprocess.PIPE)
        except (OSError, ValueError) as error:
            raise CallFailed(f"the command cannot be started: {error}") from error
        ended = False
        try:
            out, err, ended = _communicate(child.process, given or b"", limits)
            code = child.process.wait() if ended else 0
        finally:
            child.end(thorough=not ended)
        if code:
            said = err.decode("utf-8", "replace").strip() or out.decode("utf-8", "replace").strip()[-500:]
            raise CallFailed(f"the command {how_it_ended(code)}" + (f": {said}" if said else ""))
        return _value(out, ended)

    def close(self) -> None:
        """Every child has ended with its call."""


def read_commands(path: Path, source: bytes, sha256: str) -> tuple[list[Tool], dict[str, Command]]:
    """The tools of a JSON file and their commands. Raises UsageError."""
    try:
        content = json.loads(source)
    except json.JSONDecodeError as error:
        raise _fault(path, f"is not JSON: {error.msg} in line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise _fault(path, "is not JSON in UTF-8, or nested too deeply") from error
    entries = content.get("tools", [content]) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise _fault(path, "is not a list of tools")
    tools: list[Tool] = []
    commands: dict[str, Command] = {}
    for number, entry in enumerate(entries, 1):
        tool, command = _read_entry(path, number, entry, sha256)
        if tool.name in commands:
            raise _fault(path, f"has two tools named {tool.name}")
        tools.append(tool)
        commands[tool.name] = command
    return tools, commands


def placeholders(word: str) -> Iterator[str]:
    """The arguments that a word names in braces."""
    return (found[1] for found in _PLACE.finditer(word) if found[1])


def _read_entry(path: Path, number: int, entry: object, sha256: str) -> tuple[Tool, Command]:
    """One tool of the list, by its number for messages."""
    if not isinstance(entry, dict):
        raise _fault(path, f"has something else than a tool as entry {number}")
    for key in entry:
        if key not in _KEYS:
            raise UsageError(
                f"{path.name} has the unknown key {key} in entry {number}", did_you_mean(key, _KEYS, _SHAPE)
            )
    function = entry.get("function", entry)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _fault(path, f"needs a name of letters a to z, digits, _ and - in entry {number}")
    description = function.get("description")
    if not isinstance(description, str) or not description.strip():
        raise _fault(path, f"needs a description for {name}, which the model reads")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise _fault(path, f'needs a schema with "type": "object" as parameters of {name}')
    checked(parameters, f"{path.name}: the parameters of {name}")
    read_only = entry.get("read_only", False)
    if not isinstance(read_only, bool):
        raise _fault(path, f"needs true or false as read_only of {name}")
    returns = function.get("return")
    if not isinstance(returns, dict | None):
        raise _fault(path, f"needs a schema as return of {name}")
    tool = Tool(name, " ".join(description.split()), parameters, read_only, str(path), sha256, returns=returns)
    return tool, _read_command(path, tool, entry)


def _read_command(path: Path, tool: Tool, entry: Mapping[str, Any]) -> Command:
    words: Any = entry.get("command")
    groups = [word if isinstance(word, list) else [word] for word in words] if isinstance(words, list) else []
    flat = [word for group in groups for word in group]
    if not flat or not all(isinstance(word, str) for word in flat) or not isinstance(words[0], str):
        raise _fault(path, f'needs a command for {tool.name}, such as ["date", "+%F"]')
    if entry.get("stdin") not in (None, "json"):
        raise _fault(path, f'allows only "json" as stdin of {tool.name}')
    properties = tool.parameters.get("properties") or {}
    used = {name for word in flat for name in placeholders(word)}
    for name in used:
        if name not in properties:
            hint = did_you_mean(name, properties, "a brace that names no argument is written twice: {{ }}")
            raise UsageError(f"{path.name}: the command of {tool.name} uses {{{name}}}, which is not an argument", hint)
    to_stdin = entry.get("stdin") == "json"
    unused = [name for name in properties if name not in used]
    if unused and not to_stdin:
        raise _fault(
            path, f'has no place in the command of {tool.name} for {unused[0]}; name it, or set "stdin": "json"'
        )
    if next(placeholders(flat[0]), None):
        raise _fault(path, f"lets the model choose the program of {tool.name}")
    program = _literal(flat[0])
    if os.sep in program:
        program = str(path.parent / paths.expanded(program))
    if shutil.which(program) is None:
        raise UsageError(f"{path.name}: there is no program {program}, which {tool.name} needs", "install it")
    return Command(words, program, to_stdin)


def _literal(word: str) -> str:
    return word.replace("{{", "{").replace("}}", "}")


def _filled(word: str, arguments: Mapping[str, Any], safe: bool) -> str:
    """A word with its arguments in place; it stays one word. Raises CallFailed for what would act as an option."""
    written = {name: _written(name, arguments[name]) for name in placeholders(word)}
    filled = _PLACE.sub(lambda found: written[found[1]] if found[1] else found[0][0], word)
    if filled.startswith("-") and not word.startswith("-") and not safe:
        _check_beginning(word, arguments, written)
    return filled


def _check_beginning(word: str, arguments: Mapping[str, Any], written: Mapping[str, str]) -> None:
    """Raise CallFailed if a text, or one that is empty before a - of the command, made an option of this word."""
    for found in _PLACE.finditer(word):
        name, behind = found[1], word[found.end() :]
        if written[name]:
            if isinstance(arguments[name], str):
                raise CallFailed(f"{name} must not begin with -: the command would take it for an option")
            return
        if behind.startswith("-"):
            raise CallFailed(f"{name} must not be empty: the command would take {behind} for an option")


def _written(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if "\0" in text:
        raise CallFailed(f"{name} must not hold a NUL character")
    return text


def _communicate(process: "subprocess.Popen[bytes]", given: bytes, limits: Limits) -> tuple[bytes, bytes, bool]:
    """What the child wrote to stdout and (the end of) stderr, and whether that is all it wanted to write."""
    assert process.stdout and process.stderr
    out, err = b"", b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while process.stdout in selector.get_map() or process.poll() is None:
            limits.check()
            ended = process.poll() is not None
            ready = selector.select(0 if ended else POLL_S)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    given = _feed(process, given, selector)
                    continue
                part = os.read(key.fd, 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    out += part
                else:
                    err = (err + part)[-_KEPT_ERROR_BYTES:]
            if len(out) > 4 * LIMIT_CHARACTERS:
                return out, err, False
            # A process that it left running can keep its stdout open forever.
            if ended and not ready:
                break
    return out, err, True


def _feed(process: "subprocess.Popen[bytes]", given: bytes, selector: selectors.BaseSelector) -> bytes:
    """Write to the child's stdin; what is left."""
    assert process.stdin
    try:
        given = given[os.write(process.stdin.fileno(), given) :]
    except BlockingIOError:
        return given
    except OSError:
        given = b""
    if not given:
        selector.unregister(process.stdin)
        with suppress(OSError):
            process.stdin.close()
    return given


def _value(out: bytes, whole: bool) -> Any:
    """JSON where it is that, else text. Raises CallFailed for what is neither."""
    if b"\0" in out:
        raise CallFailed(f"the command printed {len(out):,} bytes that are not text")
    text = out.decode("utf-8", "replace").rstrip("\n")
    if not whole:
        return cut(text)
    with suppress(ValueError, RecursionError):
        return limited(json.loads(text))
    return limited(text)


def _fault(path: Path, message: str) -> UsageError:
    return UsageError(f"{path.name} {message}", _SHAPE)


_SHAPE = 'an entry is {"name": ..., "description": ..., "parameters": {...}, "command": ["program", "{argument}"]}'
