"""A named value that users set: its type, its range, its text form."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any, TypeGuard

from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass

Value = str | int | float | bool
LARGEST = 2**31 - 1
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Key:
    """The allowed values of a setting. `choices` are the only texts allowed, or words in place of a number."""

    kind: type[Value]
    help: str  # one line
    default: Value | None = None
    otherwise: str = ""  # in words, what applies if it is not set
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    example: Value | None = None  # for a setting without a default
    meanings: Mapping[str, Value] = field(default_factory=dict)  # of choices that stand for a number
    form: str = ""  # of a text, in words
    pattern: str = ""  # of a text
    name: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"HERMES_CLI_{self.name.upper()}"

    @property
    def sample(self) -> Value | None:
        """An example value: the default if there is one."""
        return self.example if self.default is None else self.default

    @property
    def standard(self) -> str:
        """The default, in words."""
        return self.otherwise if self.default is None else written(self.default)

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.kind is bool:
            return "true or false"
        if self.kind is str and self.choices:
            return " or ".join([", ".join(self.choices[:-1]), self.choices[-1]])
        if self.kind is str:
            return self.form or "one line of text"
        whole = "a whole number" if self.kind is int else "a number"
        return " or ".join((*self.choices, f"{whole} from {self.low} to {self.high}"))

    def to_text(self, value: Value) -> str:
        """The value as `from_text` takes it, with the word for a number that has one."""
        words = {meaning: word for word, meaning in self.meanings.items()}
        return words.get(value) or (f"{value:g}" if isinstance(value, float) else written(value))

    def from_text(self, text: str, origin: str = "") -> Value:
        """The value in a text, from a variable or the command line. Raises UsageError, which names `origin`."""
        value: object = text
        if self.kind is bool:
            value = _TRUTH.get(text.lower(), text)
        elif self.kind is not str and text not in self.choices:
            with suppress(ValueError):
                value = self.kind(text)
        return self.checked(value if self.accepts(value) else text, origin)

    def checked(self, value: object, origin: str = "") -> Value:
        """`value`, if this setting allows it. Raises UsageError, which names `origin`."""
        if not self.accepts(value):
            where = f" (in {origin})" if origin else ""
            raise UsageError(f"{self.name} cannot be {_shown(value)}{where}", f"use {self.allowed}")
        return self.meanings.get(value, value) if isinstance(value, str) else self.kind(value)

    def accepts(self, value: object) -> TypeGuard[Value]:
        """Whether this setting allows `value`."""
        if isinstance(value, str):
            if self.choices or self.kind is not str:
                return value in self.choices
            if self.pattern:
                return re.fullmatch(self.pattern, value) is not None
            return bool(value.strip()) and not _CONTROL.search(value)
        if isinstance(value, bool) or self.kind is bool:
            return isinstance(value, bool) and self.kind is bool
        numbers = int if self.kind is int else int | float
        return self.kind is not str and isinstance(value, numbers) and (self.low or 0) <= value <= (self.high or 0)


def key(values: Key) -> Any:
    """A field of a table: a setting with these values."""
    return field(default=values.default, metadata={"key": values})


def text(help: str, default: str, *choices: str) -> Any:
    """A text, or one of `choices`."""
    return key(Key(str, help, default, choices=choices))


def switch(help: str, default: bool) -> Any:
    """A setting that is true or false."""
    return key(Key(bool, help, default))


def count(help: str, otherwise: str, example: int, low: int, high: int = LARGEST) -> Any:
    """A whole number without a default."""
    return key(Key(int, help, None, otherwise, low, high, example=example))


def written(value: Value | None) -> str:
    """A value as text; empty if not set."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    return short(f'"{value}"' if isinstance(value, str) else written(value) if isinstance(value, Value) else str(value))


def short(text: str) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
