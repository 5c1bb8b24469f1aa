"""The settings: the table of all keys, their values, and the origin of each.

Defaults < config.toml < HERMES_CLI_* variables; presets and then command-line options override them all.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from hermes_cli import paths
from hermes_cli.chat.key import LARGEST, Key, Value, count, key, short, switch, text
from hermes_cli.chat.request import TOOL_TIMEOUT_S
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.kv_types import KV_TYPES, KvType
from hermes_cli.store.settings import config_file
from hermes_cli.store.settings.endpoints import Endpoint
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import ModelTable
    from hermes_cli.tools.mcp_server import McpServer

DEFAULT = "default"
_PREFIX = "HERMES_CLI_"
# Variables that are not settings: the key of a server, folders, tracebacks, and what tests use.
_FOLDERS = tuple(f"{_PREFIX}{name}_DIR" for name in ("CACHE", "CONFIG", "DATA"))
_OTHER_VARIABLES = {*_FOLDERS, *(_PREFIX + name for name in ("API_KEY", "DEBUG", "TOOL_PROCESS", "TOOL_SETTING"))}
_TEST_VARIABLES = _PREFIX + "TEST_"
THEMES = (
    "terminal",
    "dracula",
    "friendly",
    "github-dark",
    "gruvbox-dark",
    "gruvbox-light",
    "monokai",
    "nord",
    "one-dark",
    "solarized-dark",
    "solarized-light",
    "vs",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values; None leaves a choice to the program. The fields, in this order, are the table of all settings."""

    model: str | None = key(
        Key(
            str,
            "Model to use: a name or the path of a GGUF file.",
            otherwise="the best installed Hermes 3 that fits, else the demo model",
            example="demo",
        )
    )
    endpoint: str | None = key(
        Key(
            str,
            "Server to use: a URL, the name of an [endpoints] table, local or auto.",
            otherwise="local",
            example="http://localhost:8000",
        )
    )
    preset: str | None = key(
        Key(
            str,
            "Preset to use if neither --preset nor --system is given.",
            otherwise="no system prompt",
            example="coder",
        )
    )
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = count("Maximum number of tokens in an answer.", "until the context is full", 500, low=1)
    ctx: int | None = count("Context length in tokens.", "8192, or 16384 on a GPU, memory permitting", 8192, low=64)
    gpu_layers: str | int = key(
        Key(int, "Number of layers to offload to the GPU.", "auto", low=0, high=10_000, choices=("auto", "all"))
    )
    kv_type: KvType | None = key(
        Key(
            str,
            "Precision of the KV cache.",
            otherwise="f16, memory permitting",
            choices=KV_TYPES,
            example="q8_0",
        )
    )
    threads: int | None = count("Number of CPU threads.", "physical cores", 4, low=1, high=512)
    speculate: Literal["auto", "off"] = text(
        "Speculative decoding of repeated text (experimental, may be slower).", "off", "auto", "off"
    )
    template: str = text("Chat template: auto, chatml, embedded (in the model file) or a Jinja file.", "auto")
    color: Literal["auto", "always", "never"] = text("Colours in the terminal.", "auto", "auto", "always", "never")
    theme: str = text("Colours of code: the terminal's own, or a Pygments style.", "terminal", *THEMES)
    width: int = key(Key(int, "Maximum width of text in columns; code can be wider.", 100, low=20, high=1000))
    notify: Literal["off", "bell", "desktop"] = text(
        "Signal the end of an answer that took over 20 seconds (in a chat).", "off", "off", "bell", "desktop"
    )
    overflow: Literal["ask", "error", "drop"] | None = key(
        Key(
            str,
            "If the context is full: fail, drop the oldest turns, or ask first in a chat.",
            otherwise="ask in a chat, otherwise error",
            choices=("ask", "error", "drop"),
            example="drop",
        )
    )
    tool_timeout: float = key(Key(float, "Time limit of a tool call in seconds.", TOOL_TIMEOUT_S, low=0.1, high=86_400))
    thinking: Literal["show", "hide"] = text(
        "Show or hide a model's thinking before its answer (dimmed in the terminal).", "show", "show", "hide"
    )
    save: bool = switch("Save every session to a file.", True)
    kv_store_mb: int = key(
        Key(
            int,
            "Disk space in MB for saved prompt caches, which speed up resuming (0 = off).",
            2048,
            low=0,
            high=LARGEST,
        )
    )
    vi_mode: bool = switch("Use vi key bindings at the chat prompt.", False)
    history: bool = switch("Save the history of messages typed in chats.", True)
    origins: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    mcp_servers: "Mapping[str, McpServer]" = field(default_factory=dict)
    models: "Mapping[str, ModelTable]" = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """The origin of a value: the path of the file, the name of the variable, or `default`."""
        return self.origins.get(name, DEFAULT)

    def value(self, name: str) -> Value | None:
        """The value of a key; None if it is not set."""
        value: Value | None = getattr(self.sampling if name in SAMPLING_KEYS else self, name)
        return value

    def is_from_environment(self, name: str) -> bool:
        """Whether an environment variable sets it."""
        return name in KEYS and self.origin(name) == KEYS[name].variable


def _keys() -> Iterator[Key]:
    """The keys in the order of the fields; a seed is not a setting, because every answer would be the same."""
    for each in fields(Settings):
        if each.name == "sampling":
            yield from (key for key in SAMPLING_KEYS.values() if key.name != "seed")
        elif "key" in each.metadata:
            yield replace(each.metadata["key"], name=each.name)


KEYS: dict[str, Key] = {key.name: key for key in _keys()}


def load_settings() -> Settings:
    """The settings in the file and the environment. Raises UsageError for the first one that is wrong."""
    settings, problems = read_settings()
    if problems:
        raise problems[0]
    return settings


def read_settings() -> tuple[Settings, list[UsageError]]:
    """The settings that are valid, and the problems of the others."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[UsageError] = []
    for read in (_from_file, _from_environment):
        found, origin_of, wrong = read()
        values |= found
        origins |= origin_of
        problems += wrong
    sampling = Sampling(**{name: values.pop(name) for name in SAMPLING_KEYS if name in values})
    return Settings(**values, sampling=sampling, origins=origins), problems


def known_key(name: str, origin: str = "") -> Key:
    """The key of that name. Raises UsageError, which names `origin`."""
    if name not in KEYS:
        where = f" (in {origin})" if origin else ""
        raise UsageError(
            f"unknown setting {short(name)}{where}", did_you_mean(name, KEYS, "list them: hermes config show")
        )
    return KEYS[name]


_Found = tuple[dict[str, Any], dict[str, str], list[UsageError]]


def _from_file() -> _Found:
    origin = str(paths.config_file())
    values: dict[str, Any] = {}
    try:
        given = config_file.read()
    except UsageError as problem:
        return {}, {}, [problem]
    from hermes_cli.store.settings.tables import take_tables

    tables, problems = take_tables(given, origin, lambda key, value, where: known_key(key, where).checked(value, where))
    for name, value in given.items():
        try:
            values[name] = known_key(name, origin).checked(value, origin)
        except UsageError as problem:
            problem.hint += f"{'' if problem.hint.endswith('?') else ','} then fix it: hermes config edit"
            problems.append(problem)
    origins = dict.fromkeys(values, origin)
    return values | tables, origins, problems


def _from_environment() -> _Found:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[UsageError] = []
    for variable, given in sorted(os.environ.items()):
        if not variable.startswith(_PREFIX) or not given:
            continue
        if variable in _OTHER_VARIABLES or variable.startswith(_TEST_VARIABLES):
            continue
        try:
            key = KEYS.get(variable.removeprefix(_PREFIX).lower())
            if key is None or key.variable != variable:
                variables = [*(key.variable for key in KEYS.values()), *_FOLDERS]
                nearest = did_you_mean(variable, variables, f"unset it: unset {variable}")
                raise UsageError(f"the environment variable {variable} is not a setting", nearest)
            values[key.name], origins[key.name] = key.from_text(given, variable), variable
        except UsageError as problem:
            problems.append(problem)
    return values, origins, problems
