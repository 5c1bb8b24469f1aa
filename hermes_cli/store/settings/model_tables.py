"""Aliases and defaults of models: the `[models.NAME]` tables of config.toml."""

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.store.adapters import beside
from hermes_cli.values import dataclass

# The settings that a table can hold: those that a model may need differently from others.
KEYS = (
    "preset",
    *(name for name in SAMPLING_KEYS if name != "seed"),
    *("max_tokens", "ctx", "gpu_layers", "kv_type", "threads", "template", "speculate"),
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIX = "fix it: hermes config edit"
Check = Callable[[str, object, str], Any]


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The content of a table. With `model`, its name is an alias for it; otherwise its name is that of a model.

    `values` are settings by their keys, `lora` adapters as `--lora` takes them; `origin` is for messages.
    """

    name: str
    model: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    lora: tuple[str, ...] | None = None
    origin: str = ""


def tables_in(tables: Any, origin: str, check: Check) -> dict[str, ModelTable]:
    """The tables in the value of `models`, by their names in small letters. Raises UsageError, which names `origin`.

    `check` returns the valid value of a setting, given its key, what the file holds and the origin.
    """
    if not isinstance(tables, Mapping):
        raise UsageError(f"models is not a table (in {origin})", f"write [models.NAME]; {_FIX}")
    return {str(name).lower(): _table(str(name), table, origin, check) for name, table in tables.items()}


def _table(name: str, table: Any, origin: str, check: Check) -> ModelTable:
    where = f"models.{name} in {origin}"
    if not isinstance(table, Mapping):
        raise UsageError(f"models.{name} is not a table (in {origin})", f"write [models.{name}]; {_FIX}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in KEYS:
            values[key] = check(key, value, where)
        elif key not in ("model", "lora"):
            hint = did_you_mean(key, ("model", "lora", *KEYS), _FIX)
            raise UsageError(f"models.{name} has no key {key} (in {origin})", hint)
    adapters = _adapters(table.get("lora"), where, Path(origin).parent)
    return ModelTable(name, _alias(name, table.get("model"), where), values, adapters, where)


def _alias(name: str, value: Any, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"model must be text (in {where})", _FIX)
    if not NAME.fullmatch(name):
        raise UsageError(f"{name} is not a name for an alias (in {where})", "use letters, digits, . _ and -")
    return value


def _adapters(value: Any, where: str, folder: Path) -> tuple[str, ...] | None:
    found = [value] if isinstance(value, str) else value
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) and one.strip() for one in found):
        raise UsageError(f'lora must be a list such as ["FILE.gguf:0.5"] (in {where})', _FIX)
    return tuple(beside(one, folder) for one in found)
