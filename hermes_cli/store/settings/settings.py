"""The settings: the table of all keys, their values, and the origin of each.

Defaults < config.toml < HERMES_CLI_* variables; presets and then command-line options override them all.
"""

import os
from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from hermes_cli import paths
from hermes_cli.chat.request import MODEL_CARD, SAMPLING_RANGES, TOOL_TIMEOUT_S
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.store.settings import config_file
from hermes_cli.store.settings.endpoints import Endpoint
from hermes_cli.store.settings.key import PREFIX, Key, short
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import ModelTable
    from hermes_cli.tools.mcp_server import McpServer

DEFAULT = "default"
# Variables that are not settings: the key of a server, folders, tracebacks, and what tests use.
_FOLDERS = tuple(f"{PREFIX}{name}_DIR" for name in ("CACHE", "CONFIG", "DATA"))
_OTHER_VARIABLES = {*_FOLDERS, *(PREFIX + name for name in ("API_KEY", "DEBUG", "TOOL_PROCESS", "TOOL_SETTING"))}
_TEST_VARIABLES = PREFIX + "TEST_"
_LARGEST = 2**31 - 1
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
    """The values; None leaves a choice to the program. The fields, in this order, are the table of all settings."""

    model: str | None = _key(
        Key(
            str,
            "Model name, or path of a GGUF file.",
            otherwise="the best installed Hermes 3 that fits, else the demo model",
            example="demo",
        )
    )
    endpoint: str | None = _key(
        Key(
            str,
            "Server to use: a URL, the name of an [endpoints] table, local or auto.",
            otherwise="local",
            example="http://localhost:8000",
        )
    )
    preset: str | None = _key(
        Key(str, "Preset to use without --preset and --system.", otherwise="no system prompt", example="coder")
    )
    temperature: float | None = _sampling("temperature", "Randomness; 0: always the most likely token.")
    top_k: int | None = _sampling("top_k", "Sample from the K most likely tokens; 0: all.")
    top_p: float | None = _sampling("top_p", "Sample from the most likely tokens up to this total probability.")
    min_p: float | None = _sampling("min_p", "Drop tokens below this fraction of the best probability.")
    repeat_penalty: float | None = _sampling("repeat_penalty", "Above 1: penalise the last 64 tokens of the answer.")
    max_tokens: int | None = _count("Maximum number of tokens in an answer.", "what the context holds", 500, low=1)
    ctx: int | None = _count("Context length in tokens.", "8192, 16384 on a GPU, memory permitting", 8192, low=64)
    gpu_layers: str | int = _key(
        Key(int, "Number of layers to offload to the GPU.", "auto", low=0, high=10_000, choices=("auto", "all"))
    )
    kv_type: Literal["f16", "q8_0"] | None = _key(
        Key(
            str,
            "Precision of the KV cache.",
            otherwise="f16, memory permitting",
            choices=("f16", "q8_0"),
            example="q8_0",
        )
    )
    threads: int | None = _count("Number of CPU threads.", "physical cores", 4, low=1, high=512)
    speculate: Literal["auto", "off"] = _text(
        "Check repeated text in batches on a CPU: auto, where it is faster.", "off", "auto", "off"
    )
    template: str = _text("Chat template: auto, chatml, embedded or a file.", "auto")
    color: Literal["auto", "always", "never"] = _text("Colours in the terminal.", "auto", "auto", "always", "never")
    theme: str = _text("Colours of code: those of the terminal, or a Pygments style.", "terminal", *THEMES)
    width: int = _key(Key(int, "Maximum number of columns of text, not of code.", 100, low=20, high=1000))
    notify: Literal["off", "bell", "desktop"] = _text(
        "Signal in a chat when an answer is complete that took over 20 seconds.", "off", "off", "bell", "desktop"
    )
    overflow: Literal["ask", "error", "drop"] | None = _key(
        Key(
            str,
            "If the context is full: fail, drop the oldest turns, or ask in a chat.",
            otherwise="ask in a chat, else error",
            choices=("ask", "error", "drop"),
            example="drop",
        )
    )
    tool_timeout: float = _key(Key(float, "Maximum seconds of a tool call.", TOOL_TIMEOUT_S, low=0.1, high=86_400))
    thinking: Literal["show", "hide"] = _text(
        "What a model thinks before it answers, dimmed in the terminal.", "show", "show", "hide"
    )
    save: bool = _switch("Save every session to a file.", True)
    kv_store_mb: int = _key(
        Key(
            int,
            "Disk space in MB for saved prompt caches, which speed up resuming; 0: none.",
            2048,
            low=0,
            high=_LARGEST,
        )
    )
    vi_mode: bool = _switch("Use vi keys to edit the line in chat.", False)
    history: bool = _switch("Save the messages typed in chat for later chats.", True)
    origins: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    mcp_servers: "Mapping[str, McpServer]" = field(default_factory=dict)
    models: "Mapping[str, ModelTable]" = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """The origin of a value: the path of the file, the name of the variable, or `default`."""
        return self.origins.get(name, DEFAULT)

    def is_from_environment(self, name: str) -> bool:
        """Whether an environment variable sets it."""
        return name in KEYS and self.origin(name) == KEYS[name].variable


KEYS: dict[str, Key] = {
    each.name: replace(each.metadata["key"], name=each.name) for each in fields(Settings) if "key" in each.metadata
}
_BY_VARIABLE = {key.variable: key for key in KEYS.values()}


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
    return Settings(**values, origins=origins), problems


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
    for variable, text in sorted(os.environ.items()):
        if not variable.startswith(PREFIX) or not text:
            continue
        if variable in _OTHER_VARIABLES or variable.startswith(_TEST_VARIABLES):
            continue
        try:
            key = _BY_VARIABLE.get(variable)
            if key is None:
                nearest = did_you_mean(variable, [*_BY_VARIABLE, *_FOLDERS], f"unset it: unset {variable}")
                raise UsageError(f"the environment variable {variable} is not a setting", nearest)
            values[key.name], origins[key.name] = key.from_text(text, variable), variable
        except UsageError as problem:
            problems.append(problem)
    return values, origins, problems
