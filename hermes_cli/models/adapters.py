"""LoRA adapters: what `--lora FILE[:SCALE]` names, checked against the model before anything is loaded."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from hermes_cli.engine.load_options import NO_ADAPTER, Adapter
from hermes_cli.errors import ModelNotFound, UsageError, did_you_mean
from hermes_cli.gguf.adapter import misfit
from hermes_cli.gguf.file import model_header
from hermes_cli.models.library import found_files
from hermes_cli.models.model import FoundModel

_LARGEST_SCALE = 1000
_HOW = "write it like --lora FILE.gguf or --lora FILE.gguf:0.5"


def fitting_adapters(given: Iterable[str], model: FoundModel) -> tuple[Adapter, ...]:
    """The adapters that were given, each a file or a name with or without a scale; `none` stands for no adapter.

    Raises UsageError for one that does not fit the model, ModelNotFound for one that does not exist.
    """
    adapters = tuple(find_adapter(text) for text in given if text != NO_ADAPTER)
    base = model_header(model.path) if adapters else None
    for adapter in adapters:
        if base and (why := misfit(model_header(adapter.path), base)):
            hint = f"answer without it: --lora {NO_ADAPTER}; inspect it: hermes models inspect {adapter.path}"
            raise UsageError(f"the adapter {adapter.path} cannot be used with {model.name}: it {why}", hint)
    return adapters


def find_adapter(text: str) -> Adapter:
    """The adapter in `FILE[:SCALE]` or `NAME[:SCALE]`. Raises UsageError, ModelNotFound."""
    if not text.strip():
        raise UsageError("--lora is empty", _HOW)
    file, colon, number = text.rpartition(":")
    if not colon or not file or _file(text):
        return Adapter(_found(text))
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if not abs(scale) <= _LARGEST_SCALE:
        raise UsageError(
            f"--lora {text}: {number} is not a scale"
            if number
            else f"--lora {text}: there is no scale after the colon",
            f"give a number from -{_LARGEST_SCALE} to {_LARGEST_SCALE}; 1 is the adapter as it was trained",
        )
    return Adapter(_found(file), scale)


def saved_adapters(given: Iterable[str]) -> tuple[str, ...]:
    """The adapters as a session saves them: with absolute paths, so that they hold in any folder. Raises as above."""
    return tuple(NO_ADAPTER if text == NO_ADAPTER else str(find_adapter(text)) for text in given)


def _found(name: str) -> Path:
    """The file of an adapter: a path, or the name of one in the models folder. Raises ModelNotFound."""
    if file := _file(name):
        return file
    adapters = {file.name: file.path for file in found_files() if file.kind == "a LoRA adapter"}
    by_name = {key: path for name, path in adapters.items() for key in (name.lower(), path.name.lower())}
    if name.lower() in by_name:
        return by_name[name.lower()]
    raise ModelNotFound(f"there is no adapter {name}", did_you_mean(name, adapters, _HOW))


def _file(name: str) -> Path | None:
    path = os.path.expanduser(name)  # noqa: PTH111 - pathlib raises for unknown users
    return Path(os.path.realpath(path)) if os.path.isfile(path) else None  # noqa: PTH113
