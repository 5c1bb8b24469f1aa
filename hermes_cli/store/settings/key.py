"""A setting: which values it allows, and values as text."""

import re
from contextlib import suppress
from typing import TypeGuard

from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass

Value = str | int | float | bool
PREFIX = "HERMES_CLI_"
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Key:
    """The allowed values of a setting. `choices` are the only texts allowed, or words in place of a number."""

    kind: type[Value]
    help: str  # one line
    default: Value | None = None
    otherwise: str = ""  # what the program does if nothing is set
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    example: Value | None = None  # for a setting without a default
    name: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper()

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
        if self.kind is str:
            return " or ".join([", ".join(self.choices[:-1]), self.choices[-1]]) if self.choices else "one line of text"
        whole = "a whole number" if self.kind is int else "a number"
        return " or ".join((*self.choices, f"{whole} from {self.low} to {self.high}"))

    def from_text(self, text: str, origin: str = "") -> Value:
        """The value in a text, from a variable or the command line. Raises UsageError, which names `origin`."""
        value: object = text
        if self.kind is bool:
            value = _TRUTH.get(text.lower(), text)
        elif self.kind is not str and text not in self.choices:
            with suppress(ValueError):
                value = self.kind(text)
        return self.checked(value if self._accepts(value) else text, origin)

    def checked(self, value: object, origin: str = "") -> Value:
        """`value`, if this setting allows it. Raises UsageError, which names `origin`."""
        if not self._accepts(value):
            where = f" (in {origin})" if origin else ""
            raise UsageError(f"{self.name} cannot be {_shown(value)}{where}", f"use {self.allowed}")
        return value if isinstance(value, str) else self.kind(value)

    def _accepts(self, value: object) -> TypeGuard[Value]:
        if isinstance(value, str):
            if self.choices or self.kind is not str:
                return value in self.choices
            return bool(value.strip()) and not _CONTROL.search(value)
        if isinstance(value, bool) or self.kind is bool:
            return isinstance(value, bool) and self.kind is bool
        numbers = int if self.kind is int else int | float
        return self.kind is not str and isinstance(value, numbers) and (self.low or 0) <= value <= (self.high or 0)


def written(value: Value | None) -> str:
    """A value as text; empty if not set."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    return short(f'"{value}"' if isinstance(value, str) else written(value) if isinstance(value, Value) else str(value))


def short(text: str) -> str:
    """A text in a message, cut where it is long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
