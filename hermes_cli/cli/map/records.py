"""The records of `hermes ask --map`: one JSON object a line, on stdout or in a file that a later run continues."""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from hermes_cli.cli.map.input import MapInput
from hermes_cli.errors import HermesError, OutputError, UsageError
from hermes_cli.files import lock
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import AnswerOutput, FileOutput, StandardOutput

_BEGINNING = b'{"index": '
_OWN = ("index", "input", "answer", "thinking", "data", "tool_calls", "finish_reason", "error")
_HINT = "use the inputs of the first run, remove the file, or choose another with --output"
_DESCRIPTORS = ("/dev", "/dev/fd", "/proc/self/fd")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to an input: `error` if it failed, with the `exit_code` of that error.

    `facts` are the further fields of the record: `data`, `tool_calls`. `tokens` is the length of the answer.
    """

    answer: str | None
    finish_reason: str | None
    facts: Mapping[str, Any]
    tokens: int = 0
    error: str | None = None
    exit_code: int = 0


def record(given: MapInput, outcome: Outcome) -> str:
    """The record as a line; `error` is there only if the input failed."""
    fields = {
        **_head(given),
        "answer": outcome.answer,
        **outcome.facts,
        "finish_reason": outcome.finish_reason,
        **({} if outcome.error is None else {"error": outcome.error}),
    }
    return _json(fields) + "\n"


def answers(line: str, given: MapInput) -> bool:
    """Whether a line is the record of this input. Raises ValueError if it is not a record."""
    fields, head = _object(line), _object(_json(_head(given)).encode("utf-8", "replace").decode())
    return head == {key: fields[key] for key in fields if key in ("index", "input") or key not in _OWN}


def failed(line: str) -> bool:
    """Whether a record has an error. Raises ValueError if the line is not a record."""
    return "error" in _object(line)


def _head(given: MapInput) -> dict[str, Any]:
    """The fields of a record that come from its input; a key that every record has gets a prefix."""
    head: dict[str, Any] = {"index": given.index, "input": given.text}
    for key, value in given.carried.items():
        head[_unused(key, (*_OWN, *head))] = value
    return head


def _object(line: str) -> dict[str, Any]:
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    return fields


def _unused(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name = f"input_{name}"
    return name


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class RecordOutput(Protocol):
    """Writes whole records. `kept` of them come from an earlier run, `kept_failed` of those with an error."""

    kept: int
    kept_failed: int

    def pending(self, inputs: Iterator[MapInput]) -> Iterator[MapInput]:
        """The inputs without a record. Raises UsageError."""
        ...

    def write(self, text: str) -> None:
        """Write a record now. Raises BrokenPipeError, OutputError."""
        ...

    def close(self) -> None: ...


def record_output(path: Path | None) -> RecordOutput:
    """stdout, a file to continue, or a device. Raises OutputError."""
    if path is None:
        return Stream(StandardOutput())
    try:
        special = str(path.absolute().parent) in _DESCRIPTORS or (
            path.exists() and not stat.S_ISREG(path.stat().st_mode)
        )
    except OSError as error:
        raise _failed(path, error) from error
    return Stream(FileOutput(path)) if special else RecordFile(path)


class Stream:
    """stdout or a device: there are no earlier records."""

    kept = kept_failed = 0

    def __init__(self, output: AnswerOutput) -> None:
        self._output = output

    def pending(self, inputs: Iterator[MapInput]) -> Iterator[MapInput]:
        """All inputs."""
        return inputs

    def write(self, text: str) -> None:
        """Write the record now."""
        self._output.write(text)

    def close(self) -> None:
        """Close a device."""
        self._output.discard()


class RecordFile:
    """A file that grows by whole records; those of an earlier run stay if the inputs are the same."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises OutputError."""
        self._path = path
        self.kept = self.kept_failed = 0
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
        except OSError as error:
            raise _failed(path, error) from error
        if not lock(self._file.fileno()):
            self._file.close()
            raise OutputError(f"another run is writing to {path}", "wait for it, or choose another file")

    def pending(self, inputs: Iterator[MapInput]) -> Iterator[MapInput]:
        """The inputs without a record. Drops an incomplete last record and prepares for appending."""
        try:
            end = self._compare(inputs)
            self._file.seek(end)
            if torn := self._file.read(len(_BEGINNING)):
                if not _BEGINNING.startswith(torn):
                    raise self._not_a_record("it does not begin like one")
                console.notice(f"the last record in {self._path} was incomplete and is replaced")
            self._file.seek(end)
            self._file.truncate()
        except OSError as error:
            raise _failed(self._path, error) from error
        return inputs

    def _compare(self, inputs: Iterator[MapInput]) -> int:
        """Compare the records with the inputs one by one; the end of the last complete record, in bytes."""
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            given = next(inputs, None)
            if given is None:
                raise UsageError(f"{self._path} has more records than there are inputs", _HINT)
            try:
                text = line.decode("utf-8")
                if not answers(text, given):
                    message = f"record {self.kept + 1} in {self._path} does not belong to line {given.index}"
                    raise UsageError(message, _HINT)
                self.kept_failed += failed(text)
            except (ValueError, RecursionError) as error:
                raise self._not_a_record(str(error)) from error
            self.kept += 1
            end += len(line)
        return end

    def write(self, text: str) -> None:
        """Append the record."""
        try:
            self._file.write(text.encode("utf-8", "replace"))
            self._file.flush()
        except OSError as error:
            raise _failed(self._path, error) from error

    def close(self) -> None:
        """Close and unlock the file."""
        try:
            self._file.close()
        except OSError as error:
            raise _failed(self._path, error) from error

    def _not_a_record(self, why: str) -> HermesError:
        return UsageError(f"line {self.kept + 1} of {self._path} is not a record: {why}", _HINT)


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}", "choose another file with --output")
