"""The records of `hermes ask --map` as text: JSON lines, or CSV for a spreadsheet."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hermes_cli.cli.map.input import MapInput
from hermes_cli.formats.json.schema import Schema
from hermes_cli.terminal import console

Kind = Literal["jsonl", "csv"]
_OWN = ("index", "input", "answer", "data", "tool_calls", "finish_reason", "error")
_LONGEST_CELL = 1 << 30
_LOCAL = re.compile(r"#/(?P<group>\$defs|definitions)/(?P<name>[^/~%]+)")
# What a spreadsheet would take for a formula, and run; a number is none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an input: `error` if it failed, `exit_code` of that error, and what there is of an answer.

    `facts` are the further fields of a JSON record: `data`, `tool_calls`. `tokens` were written for it.
    """

    answer: str | None
    finish_reason: str | None
    facts: Mapping[str, Any]
    tokens: int = 0
    error: str | None = None
    exit_code: int = 0


class Form(Protocol):
    """How records are written, each on lines of its own, all with the same `beginning`.

    `quoted` says whether a record may hold line ends, between quotes.
    """

    quoted: bool
    beginning: bytes

    def header(self, first: MapInput) -> str:
        """What stands before the record of the first input; comes before all other calls."""
        ...

    def record(self, given: MapInput, outcome: Outcome) -> str: ...

    def answers(self, record: str, given: MapInput) -> bool:
        """Whether this is the record of an input. Raises ValueError for what is no record."""
        ...

    def failed(self, record: str) -> bool:
        """Whether the record tells an error."""
        ...


class JsonLines:
    """One object a line: everything that is known."""

    quoted = False
    beginning = b'{"index": '

    def header(self, first: MapInput) -> str:
        """Nothing."""
        return ""

    def record(self, given: MapInput, outcome: Outcome) -> str:
        """The object; `error` is there only where the input failed."""
        fields = {
            **_head(given),
            "answer": outcome.answer,
            **outcome.facts,
            "finish_reason": outcome.finish_reason,
            **({} if outcome.error is None else {"error": outcome.error}),
        }
        return _json(fields) + "\n"

    def answers(self, record: str, given: MapInput) -> bool:
        """Index, input and what was carried along must be the same."""
        fields, head = _object(record), _object(_json(_head(given)).encode("utf-8", "replace").decode())
        return head == {key: fields[key] for key in fields if key in ("index", "input") or key not in _OWN}

    def failed(self, record: str) -> bool:
        """Whether there is an `error`."""
        return "error" in _object(record)


class Csv:
    """A table: the input, what was carried along, the fields of the data or the answer, and an error."""

    quoted = True
    beginning = b""

    def __init__(self, schema: Schema | None) -> None:
        self._fields = () if schema is None else _field_names(schema)
        self._carried: Sequence[str] = ()
        self._told = False

    def header(self, first: MapInput) -> str:
        """The names of the columns; what later inputs carry beyond the first has none."""
        self._carried = tuple(first.carried)
        names: list[str] = []
        for prefix, wanted in (
            ("", ["input"]),
            ("input_", self._carried),
            ("data_", self._fields or ["answer"]),
            ("record_", ["error"]),
        ):
            for name in wanted:
                names.append(_unused(name, prefix, names))
        return _row(names)

    def record(self, given: MapInput, outcome: Outcome) -> str:
        """The row; the cells of what is not there stay empty."""
        data = outcome.facts.get("data")
        if self._fields:
            values = data if isinstance(data, dict) else {}
            self._tell(given, [key for key in values if key not in self._fields])
            cells = [_cell(values.get(name)) for name in self._fields]
        else:
            cells = [outcome.answer or ""]
        self._tell(given, [key for key in given.carried if key not in self._carried])
        return _row([*self._head(given), *cells, outcome.error or ""])

    def answers(self, record: str, given: MapInput) -> bool:
        """The cells that come from the input must be the same."""
        head = [_harmless(cell) for cell in self._head(given)]
        cells = _cells(record)
        if len(cells) != len(head) + max(len(self._fields), 1) + 1:
            raise ValueError("there are more or fewer cells than columns")
        return cells[: len(head)] == head

    def failed(self, record: str) -> bool:
        """Whether the last cell has an error."""
        return bool(_cells(record)[-1])

    def _head(self, given: MapInput) -> list[str]:
        return [given.text, *(_cell(given.carried.get(name)) for name in self._carried)]

    def _tell(self, given: MapInput, lost: Sequence[str]) -> None:
        if lost and not self._told:
            self._told = True
            console.notice(f"line {given.index}: {lost[0]} has no column in CSV; --out jsonl keeps everything")


def _head(given: MapInput) -> dict[str, Any]:
    """What a JSON record has from its input; a key that a record has itself is carried under another name."""
    head: dict[str, Any] = {"index": given.index, "input": given.text}
    for key, value in given.carried.items():
        head[_unused(key, "input_", (*_OWN, *head))] = value
    return head


def _object(record: str) -> dict[str, Any]:
    fields = json.loads(record)
    if not isinstance(fields, dict):
        raise ValueError("it is no object")
    return fields


def _unused(name: str, prefix: str, taken: Iterable[str]) -> str:
    while name in taken:
        name = prefix + name
    return name


def _field_names(schema: Schema) -> tuple[str, ...]:
    """The keys of the object that the schema describes, in its order; none if it is another value."""
    if not isinstance(schema, Mapping):
        return ()
    target = schema
    if found := _LOCAL.fullmatch(str(schema.get("$ref", ""))):
        named = schema.get(found["group"])
        target = named.get(found["name"], {}) if isinstance(named, Mapping) else {}
    properties = target.get("properties") if isinstance(target, Mapping) else None
    return tuple(properties) if isinstance(properties, Mapping) else ()


def _cell(value: Any) -> str:
    """A text as it is, nothing for null, and all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _harmless(cell: str) -> str:
    """With an apostrophe before what a spreadsheet would run."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _row(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    # With \r\n for the end, cells that hold either of the two are quoted.
    csv.writer(buffer, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _cells(record: str) -> list[str]:
    csv.field_size_limit(_LONGEST_CELL)
    try:
        return next(csv.reader(io.StringIO(record, newline=""), strict=True))
    except (csv.Error, StopIteration) as error:
        raise ValueError(str(error)) from error
