"""Presets: named system prompts with sampling, tools and schema, one Markdown file each.

The user's own presets take precedence over bundled ones. The file format: docs/presets.md.
"""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hermes_cli import paths
from hermes_cli.chat.key import Key
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.errors import OutputError, UsageError, did_you_mean
from hermes_cli.files import Unreadable, away_hint, check_hint, make_private_folder, read_text, write_hint
from hermes_cli.store.adapters import beside
from hermes_cli.store.presets import front_matter
from hermes_cli.store.presets.front_matter import Fault
from hermes_cli.store.settings.settings import KEYS

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = r"\{\{(\w+)\}\}"
_KEYS = (
    *("description", "sampling", "variables", "model", "endpoint", "lora", "tools", "mcp", "schema"),
    *("grammar", "speculate", "examples"),
)
_SAMPLING = {name: KEYS[name] for name in (*SAMPLING_KEYS, "max_tokens") if name != "seed"}
_LARGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Preset:
    """A system prompt and its settings; None leaves a choice to other settings. A variable without a default is None.

    `tools` are names of built-in tools and paths; `schema` is what `--schema` accepts, `grammar` a
    file in GBNF or its text.
    """

    name: str
    description: str
    system_prompt: str | None
    sampling: Sampling
    max_tokens: int | None
    variables: Mapping[str, str | None]
    model: str | None
    path: Path
    bundled: bool
    tools: tuple[str, ...] = ()
    schema: str | None = None
    grammar: str | None = None
    endpoint: str | None = None
    mcp: tuple[str, ...] = ()  # servers, as --mcp takes them
    speculate: Literal["auto", "off"] | None = None
    lora: tuple[str, ...] = ()  # LoRA adapters, as --lora takes them

    @property
    def undeclared(self) -> tuple[str, ...]:
        """The names in double braces that are not variables, such as misspelt ones; they stay in the prompt."""
        names = re.findall(_PLACE, self.system_prompt or "")
        return tuple(dict.fromkeys(name for name in names if name not in (*self.variables, "tools")))

    @property
    def replaces_bundled(self) -> bool:
        """Whether this is the user's own preset with the name of a bundled one."""
        return not self.bundled and bundled_file(self.name).exists()

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about likely mistakes of its author."""
        found = []
        for name in self.undeclared:
            near = did_you_mean(name, self.variables, f"declare it under variables in {self.path}")
            found.append(f"the preset {self.name} has no variable {name}: {{{{{name}}}}} stays as it is; {near}")
        return tuple(found)


def find_preset(name: str) -> Preset:
    """The preset of that name, the user's own or else the bundled one. Raises UsageError."""
    path = preset_file(name)
    try:
        return _parsed(name, path, preset_text(path))
    except Fault as fault:
        raise UsageError(f"the preset {path} {fault}", f"fix it: hermes presets edit {name}") from fault


def all_presets() -> tuple[list[Preset], list[UsageError]]:
    """The usable presets in the order of their names, and the problems of the others."""
    presets: list[Preset] = []
    problems: list[UsageError] = []
    if (folder := paths.prompts_folder()).is_file():
        problems.append(UsageError(f"{folder} is not a folder", "move it away to have presets of your own"))
    for name in preset_names():
        try:
            presets.append(find_preset(name))
        except UsageError as problem:
            problems.append(problem)
    return presets, problems


def preset_names() -> list[str]:
    """The names of all presets; files with other names are not presets."""
    folders = (paths.prompts_folder(), paths.bundled_prompts_folder())
    names = {file.stem for folder in folders for file in _files(folder) if file.suffix == ".md"}
    return sorted(filter(_NAME.fullmatch, names))


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def preset_file(name: str) -> Path:
    """The file of the preset `name`. Raises UsageError if there is none."""
    for file in (own_file(name), bundled_file(name)):
        try:
            if file.exists():
                return file
        except OSError as error:
            raise _unreadable(file, error) from error
    raise UsageError(
        f"there is no preset {name}", did_you_mean(name, preset_names(), "list the presets: hermes presets list")
    )


def own_file(name: str) -> Path:
    """The path of the user's own preset of that name, existing or not. Raises UsageError for an invalid name."""
    return paths.prompts_folder() / f"{_checked(name)}.md"


def bundled_file(name: str) -> Path:
    """The path of the bundled preset of that name, existing or not. Raises UsageError for an invalid name."""
    return paths.bundled_prompts_folder() / f"{_checked(name)}.md"


def preset_text(path: Path) -> str:
    """The text of a preset file with `\\n` line ends. Raises UsageError."""
    try:
        return read_text(path, _LARGEST_BYTES).replace("\r\n", "\n").replace("\r", "\n")
    except Unreadable as fault:
        raise UsageError(f"the preset {path} {fault}", away_hint(path)) from fault
    except OSError as error:
        raise _unreadable(path, error) from error


def create(name: str, text: str) -> Path:
    """Create a private preset of the user's own. Raises UsageError if they have one of that name, OutputError."""
    path = own_file(name)
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file", away_hint(path))
    if path.exists():
        raise UsageError(f"{path} already exists", f"change it: hermes presets edit {name}")
    try:
        for folder in (paths.config_folder(), path.parent):
            make_private_folder(folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except BaseException:
            path.unlink(missing_ok=True)  # half a file would replace the bundled preset
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", write_hint(path, error)) from error
    return path


def fill(preset: Preset, values: Mapping[str, str]) -> str | None:
    """The system prompt with its variables filled in. Raises UsageError for a missing or an unknown value."""
    for name in values:
        if name not in preset.variables:
            hint = f"see its variables: hermes presets show {preset.name}"
            raise UsageError(
                f"the preset {preset.name} has no variable {name}", did_you_mean(name, preset.variables, hint)
            )
    texts: dict[str, str] = {}
    for name, default in preset.variables.items():
        text = values.get(name, default)
        if text is None:
            hint = f"pass --var {name}=TEXT, or in a chat: /preset {preset.name} {name}=TEXT"
            raise UsageError(f"the preset {preset.name} needs a value for {name}", hint)
        texts[name] = text
    if preset.system_prompt is None:
        return None
    # One pass over the prompt: braces in a value are not replaced again.
    return re.sub(_PLACE, lambda found: texts.get(found[1], found[0]), preset.system_prompt)


def variable_values(pairs: Iterable[str]) -> dict[str, str]:
    """Split `NAME=VALUE` at the first `=`. Raises UsageError."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(
                f"{pair} is not NAME=VALUE",
                "for example --var language=Greek, or in a chat: /preset translate language=Greek",
            )
        values[name] = value
    return values


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot read the preset {path}: {error.strerror}", check_hint(path))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name or 'an empty name'} is not a valid preset name",
            "use lower-case letters, digits, - and _; see: hermes presets list",
        )
    return name


def _parsed(name: str, path: Path, text: str) -> Preset:
    fields, body = front_matter.read(text)
    front_matter.check_keys(fields, _KEYS)
    description = front_matter.text("description", fields.get("description"))
    if not description:
        raise Fault("has no description")
    given = front_matter.mapping(fields, "sampling")
    front_matter.check_keys(given, _SAMPLING, " in sampling")
    sampling = {name: _value(key, given.get(name)) for name, key in _SAMPLING.items()}
    max_tokens = sampling.pop("max_tokens")
    prompt = body.strip() or None
    if fields.get("grammar") and any(fields.get(name) for name in ("schema", "tools", "mcp")):
        raise Fault("has a grammar, which cannot be combined with tools or a schema")
    variables = _variables(front_matter.mapping(fields, "variables"), prompt or "")
    return Preset(
        name=name,
        description=" ".join(description.split()),
        system_prompt=prompt,
        sampling=Sampling(**sampling),
        max_tokens=max_tokens,
        variables=variables,
        model=front_matter.text("model", fields.get("model")),
        endpoint=front_matter.text("endpoint", fields.get("endpoint")) or None,
        path=path,
        bundled=path.parent == paths.bundled_prompts_folder(),
        tools=front_matter.tools(fields.get("tools"), path.parent),
        mcp=front_matter.texts("mcp", fields.get("mcp")),
        lora=tuple(beside(one, path.parent) for one in front_matter.texts("lora", fields.get("lora"))),
        schema=front_matter.text("schema", fields.get("schema")),
        grammar=front_matter.text("grammar", fields.get("grammar")) or None,
        speculate=_value(KEYS["speculate"], fields.get("speculate")),
    )


def _value(key: Key, value: object) -> Any:
    """The value of a setting, written as text. Raises Fault."""
    if value is None:
        return None
    if isinstance(value, str):  # not a list or a mapping
        with suppress(UsageError):
            return key.from_text(value)
    raise Fault(f"needs {key.allowed} as {key.name}")


def _variables(fields: Mapping[object, object], prompt: str) -> dict[str, str | None]:
    variables: dict[str, str | None] = {}
    for name, default in fields.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise Fault(f"has the variable {name}; names are letters, digits and _")
        if f"{{{{{name}}}}}" not in prompt:
            raise Fault(f"declares the variable {name}, but {{{{{name}}}}} is not in its text")
        variables[name] = front_matter.text(f"the default of {name}", default)
    return variables
