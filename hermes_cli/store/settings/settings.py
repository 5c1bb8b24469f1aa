"""The settings: the table of what can be set, the values that are, and where each comes from.

Defaults < config.toml < HERMES_CLI_* variables; presets and then options of the command line go before them all.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeGuard

from hermes_cli import paths
from hermes_cli.chat.request import MODEL_CARD, SAMPLING_RANGES
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.store.settings import config_file

Value = str | int | float | bool
DEFAULT = "default"
_PREFIX = "HERMES_CLI_"
# Variables that are no settings: folders, tracebacks, and what tests are told.
_OTHER_VARIABLES = re.compile(_PREFIX + "(CACHE_DIR|CONFIG_DIR|DATA_DIR|DEBUG|TEST_.*|TOOL_.*)")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LARGEST = 2**31 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Key:
    """What one setting may be. `choices` are the texts a text must be one of, or that may stand for a number."""

    kind: type[Value]
    help: str  # one line
    default: Value | None = None
    otherwise: str = ""  # what the program does where nothing is set
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    example: Value | None = None  # for a setting without a default
    name: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return _PREFIX + self.name.upper()

    @property
    def sample(self) -> Value | None:
        """A value it may have, the default where there is one."""
        return self.example if self.default is None else self.default

    @property
    def standard(self) -> str:
        """What counts where nothing is set, in words."""
        return self.otherwise if self.default is None else written(self.default)

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return (
                " or ".join([", ".join(self.choices[:-1]), self.choices[-1]]) if self.choices else "a text of one line"
            )
        whole = "a whole number" if self.kind is int else "a number"
        return " or ".join((*self.choices, f"{whole} from {self.low} to {self.high}"))

    def from_text(self, text: str, origin: str = "") -> Value:
        """The value that a variable or the command line gives as text. Raises UsageError, which names `origin`."""
        value: object = text
        if self.kind is bool:
            value = _TRUTH.get(text.lower(), text)
        elif self.kind is not str and text not in self.choices:
            with suppress(ValueError):
                value = self.kind(text)
        return self.checked(value if self._accepts(value) else text, origin)

    def checked(self, value: object, origin: str = "") -> Value:
        """`value`, if it is one this setting may have. Raises UsageError, which names `origin`."""
        if not self._accepts(value):
            where = f" (in {origin})" if origin else ""
            raise UsageError(f"{self.name} cannot be {_shown(value)}{where}", f"give {self.allowed}")
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


def _key(key: Key) -> Any:
    return field(default=key.default, metadata={"key": key})


def _text(help: str, default: str, *choices: str) -> Any:
    return _key(Key(str, help, default, choices=choices))


def _switch(help: str, default: bool) -> Any:
    return _key(Key(bool, help, default))


def _count(help: str, otherwise: str, example: int, low: int, high: int = _LARGEST) -> Any:
    return _key(Key(int, help, None, otherwise, low, high, example=example))


def _sampling(name: str, help: str) -> Any:
    low, high = SAMPLING_RANGES[name]
    usual = getattr(MODEL_CARD, name)
    return _key(Key(type(usual), help, None, f"{usual:g}", low, high, example=usual))


@dataclass(frozen=True, slots=True)
class Settings:
    """What is set; None leaves a choice to the program. The fields, in this order, are the table of all settings."""

    model: str | None = _key(
        Key(
            str,
            "A model's name, or the path of a GGUF file.",
            otherwise="the best Hermes 3 here that fits, else the demo model",
            example="demo",
        )
    )
    preset: str | None = _key(
        Key(str, "The preset to use without --preset and --system.", otherwise="no system prompt", example="coder")
    )
    temperature: float | None = _sampling("temperature", "0 always takes the likeliest token.")
    top_k: int | None = _sampling("top_k", "Choose among the K likeliest tokens; 0: all.")
    top_p: float | None = _sampling("top_p", "Keep the likeliest tokens up to this share.")
    min_p: float | None = _sampling("min_p", "Drop tokens below this share of the best.")
    repeat_penalty: float | None = _sampling("repeat_penalty", "Above 1: avoid the answer's last 64 tokens.")
    max_tokens: int | None = _count("Stop the answer after N tokens.", "what the window holds", 500, low=1)
    ctx: int | None = _count("Window in tokens.", "8192, on a GPU 16384, if it fits", 8192, low=64)
    gpu_layers: str | int = _key(
        Key(int, "How many layers the GPU computes.", "auto", low=0, high=10_000, choices=("auto", "all"))
    )
    kv_type: Literal["f16", "q8_0"] | None = _key(
        Key(str, "Precision of the KV cache.", otherwise="f16, if it fits", choices=("f16", "q8_0"), example="q8_0")
    )
    threads: int | None = _count(
        "Threads to compute with.", "the physical cores; 1 for a tiny model", 4, low=1, high=512
    )
    template: str = _text("How the conversation is written: auto, chatml, embedded or a file.", "auto")
    color: Literal["auto", "always", "never"] = _text("Colours on the terminal.", "auto", "auto", "always", "never")
    save: bool = _switch("Save every session to a file.", True)
    kv_store_mb: int = _key(
        Key(int, "Disk for what was read, so that sessions go on at once, in MB; 0: none.", 2048, low=0, high=_LARGEST)
    )
    vi_mode: bool = _switch("Edit the line in chat with the keys of vi.", False)
    history: bool = _switch("Keep the lines typed in chat for the next one.", True)
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where the value comes from: the file's path, the variable's name, or `default`."""
        return self.origins.get(name, DEFAULT)


KEYS: dict[str, Key] = {
    each.name: replace(each.metadata["key"], name=each.name) for each in fields(Settings) if "key" in each.metadata
}
_BY_VARIABLE = {key.variable: key for key in KEYS.values()}


def load_settings() -> Settings:
    """What is set in the file and the environment. Raises UsageError for the first thing that is wrong there."""
    settings, problems = read_settings()
    if problems:
        raise problems[0]
    return settings


def read_settings() -> tuple[Settings, list[UsageError]]:
    """What is set as far as it is right, and everything that is wrong."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[UsageError] = []
    for read in (_from_file, _from_environment):
        found, origin_of, wrong = read()
        values |= found
        origins |= origin_of
        problems += wrong
    return Settings(**values, origins=origins), problems


def known_key(name: str, origin: str = "") -> Key:
    """The key of that name. Raises UsageError, which names `origin`."""
    if name not in KEYS:
        where = f" (in {origin})" if origin else ""
        raise UsageError(
            f"there is no setting {_short(name)}{where}", did_you_mean(name, KEYS, "see all: hermes config show")
        )
    return KEYS[name]


def written(value: Value | None) -> str:
    """A value as people and scripts read it; empty for what is not set."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


_Found = tuple[dict[str, Any], dict[str, str], list[UsageError]]


def _from_file() -> _Found:
    origin = str(paths.config_file())
    values: dict[str, Any] = {}
    problems: list[UsageError] = []
    try:
        given = config_file.read()
    except UsageError as problem:
        return {}, {}, [problem]
    for name, value in given.items():
        try:
            values[name] = known_key(name, origin).checked(value, origin)
        except UsageError as problem:
            problem.hint += f"{'' if problem.hint.endswith('?') else ','} then fix it: hermes config edit"
            problems.append(problem)
    return values, dict.fromkeys(values, origin), problems


def _from_environment() -> _Found:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[UsageError] = []
    for variable, text in sorted(os.environ.items()):
        if not variable.startswith(_PREFIX) or not text or _OTHER_VARIABLES.fullmatch(variable):
            continue
        try:
            key = _BY_VARIABLE.get(variable)
            if key is None:
                nearest = did_you_mean(variable, _BY_VARIABLE, f"unset it: unset {variable}")
                raise UsageError(f"the environment variable {variable} stands for no setting", nearest)
            values[key.name], origins[key.name] = key.from_text(text, variable), variable
        except UsageError as problem:
            problems.append(problem)
    return values, origins, problems


def _shown(value: object) -> str:
    return _short(
        f'"{value}"' if isinstance(value, str) else written(value) if isinstance(value, Value) else str(value)
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
