"""Where the records of `hermes ask --map` go: stdout, or a file that a later run goes on with."""

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from hermes_cli.cli.map.input import MapInput
from hermes_cli.cli.map.record import Form
from hermes_cli.errors import HermesError, OutputError, UsageError
from hermes_cli.files import lock
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import AnswerOutput, FileOutput, StandardOutput

_DESCRIPTORS = ("/dev", "/dev/fd", "/proc/self/fd")


class RecordOutput(Protocol):
    """Takes whole records. `kept` of an earlier run are there already, `kept_failed` of them tell an error."""

    kept: int
    kept_failed: int

    def begin(self, inputs: Iterator[MapInput], form: Form) -> Iterator[MapInput]:
        """Write what comes before the records; the inputs that are still to be answered. Raises UsageError."""
        ...

    def write(self, text: str) -> None:
        """Write a record now. Raises BrokenPipeError, OutputError."""
        ...

    def close(self) -> None: ...


def record_output(path: Path | None) -> RecordOutput:
    """stdout, a file to go on with, or where the path leads if that is no regular file. Raises OutputError."""
    if path is None:
        return Stream(StandardOutput())
    try:
        special = str(path.absolute().parent) in _DESCRIPTORS or (path.exists() and not _is_regular(path.stat()))
    except OSError as error:
        raise _failed(path, error) from error
    return Stream(FileOutput(path)) if special else RecordFile(path)


class Stream:
    """stdout or a device: nothing is kept from before."""

    kept = kept_failed = 0

    def __init__(self, output: AnswerOutput) -> None:
        self._output = output

    def begin(self, inputs: Iterator[MapInput], form: Form) -> Iterator[MapInput]:
        """All inputs; the header goes out with the first."""
        if (first := next(inputs, None)) is None:
            return
        if header := form.header(first):
            self.write(header)
        yield first
        yield from inputs

    def write(self, text: str) -> None:
        """Send the record."""
        self._output.write(text)

    def close(self) -> None:
        """End a device as it is."""
        self._output.discard()


class RecordFile:
    """A file that grows by whole records; those of an earlier run are kept where the inputs are the same."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises OutputError."""
        self._path = path
        self.kept = self.kept_failed = 0
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
        except OSError as error:
            raise _failed(path, error) from error
        if not lock(self._file.fileno()):
            self._file.close()
            raise OutputError(f"{path} is being written by another run", "wait for it, or choose another file")

    def begin(self, inputs: Iterator[MapInput], form: Form) -> Iterator[MapInput]:
        """The inputs after those that have a record; a last record that is incomplete is dropped."""
        first = next(inputs, None)
        if first is None:
            if self._file.read(1):
                raise self._surplus()
            return iter(())
        header = form.header(first).encode("utf-8", "replace")
        rest = itertools.chain((first,), inputs)
        try:
            begun = self._file.read(len(header))
            if header.startswith(begun) and begun != header:
                self._file.seek(0)
                self._file.truncate()
                self.write(header.decode())
            elif begun != header:
                raise UsageError(f"{self._path} does not begin with the columns of this run", self._hint())
            else:
                self._keep(rest, form, len(header))
        except OSError as error:
            raise _failed(self._path, error) from error
        return rest

    def _keep(self, inputs: Iterator[MapInput], form: Form, end: int) -> None:
        """Go through records and inputs side by side, and leave the file ready for the next record."""
        for row in self._rows(form):
            given = next(inputs, None)
            if given is None:
                raise self._surplus()
            try:
                text = row.decode("utf-8")
                if not form.answers(text, given):
                    message = f"record {self.kept + 1} in {self._path} is not about line {given.index} of the input"
                    raise UsageError(message, self._hint())
                self.kept_failed += form.failed(text)
            except (ValueError, RecursionError) as error:
                raise self._no_record(str(error)) from error
            self.kept += 1
            end += len(row)
        self._file.seek(end)
        if torn := self._file.read(len(form.beginning) or 1):
            if form.beginning and not form.beginning.startswith(torn):
                raise self._no_record("it is something else")
            console.notice(f"the last record in {self._path} was incomplete; it is written anew")
        self._file.seek(end)
        self._file.truncate()

    def _rows(self, form: Form) -> Iterator[bytes]:
        """The complete records from here on."""
        row, inside = bytearray(), False  # a cell may hold very many lines
        for line in self._file:
            row += line
            inside ^= form.quoted and line.count(b'"') % 2 == 1
            if not inside and line.endswith(b"\n"):
                yield bytes(row)
                row.clear()

    def write(self, text: str) -> None:
        """Append the record."""
        try:
            self._file.write(text.encode("utf-8", "replace"))
            self._file.flush()
        except OSError as error:
            raise _failed(self._path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        try:
            self._file.close()
        except OSError as error:
            raise _failed(self._path, error) from error

    def _no_record(self, why: str) -> HermesError:
        return UsageError(f"what {self._path} holds as record {self.kept + 1} is none: {why}", self._hint())

    def _surplus(self) -> HermesError:
        return UsageError(f"{self._path} has more records than there are inputs", self._hint())

    def _hint(self) -> str:
        return "give the inputs it was begun with, remove it, or choose another file with --output"


def _is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}", "choose another place with --output")
