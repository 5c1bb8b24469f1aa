"""Which GGUF a model name means: a path, `demo`, or a file in the models folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import ModelNotFound, did_you_mean

DEMO_NAME = "demo"
_PART = re.compile(r"-(\d{5})-of-\d{5}$")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to open: the name people use and the file."""

    name: str
    path: Path


def find_model(name: str | None) -> ModelSpec:
    """The model `name` stands for; without a name the smallest Hermes 3 in the models folder, else the demo model."""
    if not name:
        hermes = [spec for spec in installed_models() if spec.name.lower().startswith("hermes-3")]
        return min(hermes, key=_burden, default=demo_model())
    if name.lower() == DEMO_NAME:
        return demo_model()
    if _looks_like_path(name):
        return _model_file(Path(os.path.expanduser(name)))  # noqa: PTH111 - pathlib raises for unknown users
    return _by_name(name)


def demo_model() -> ModelSpec:
    """The tiny model that travels with the program."""
    return ModelSpec(DEMO_NAME, paths.DEMO_MODEL)


def installed_models() -> list[ModelSpec]:
    """The GGUF files in the models folder, by name; of a model in several parts the first, which opens the others."""
    try:
        files = sorted(paths.models_folder().glob("*.gguf"))
    except OSError:
        return []
    return [ModelSpec(file.stem, file) for file in files if _part_number(file.stem) <= 1]


def _part_number(name: str) -> int:
    """Which part of a model that was cut into several files; 0 for a whole one."""
    part = _PART.search(name)
    return int(part[1]) if part else 0


def _burden(spec: ModelSpec) -> tuple[int, int]:
    """How much a model asks of a machine; one in parts most, whatever its first part weighs."""
    try:
        return _part_number(spec.name), spec.path.stat().st_size
    except OSError:
        return 2, 0


def _looks_like_path(name: str) -> bool:
    return name.endswith(".gguf") or os.sep in name or name.startswith("~") or os.path.isfile(name)  # noqa: PTH113


def _model_file(path: Path) -> ModelSpec:
    # os.path never raises here, pathlib does: for a name that is too long, for a folder that may not be read.
    if not os.path.exists(path):  # noqa: PTH110
        raise ModelNotFound(f"there is no file {path}", "check the path; `--model demo` always works")
    if path.is_dir():
        raise ModelNotFound(f"{path} is a folder, not a GGUF file", _folder_hint(path))
    if not path.is_file():
        raise ModelNotFound(f"{path} is not a file that can be read twice", "give the path of a GGUF file")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error.strerror}", "check its permissions: ls -l") from error
    if magic != b"GGUF":
        what = "is empty" if not magic else "is not a GGUF file"
        raise ModelNotFound(f"{path} {what}", "download it again, or name another with --model")
    return ModelSpec(path.stem, path)


def _folder_hint(folder: Path) -> str:
    inside = next(iter(sorted(folder.glob("*.gguf"))), None)
    return f"name a file in it: --model {inside}" if inside else "name a GGUF file with --model"


def _by_name(name: str) -> ModelSpec:
    known = {spec.name: spec for spec in installed_models()}
    matches = [spec for key, spec in known.items() if key.lower() == name.lower()]
    matches = matches or [spec for key, spec in known.items() if key.lower().startswith(name.lower())]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ModelNotFound(f"{name} could be {', '.join(spec.name for spec in matches)}", "give more of the name")
    otherwise = f"give the path of a GGUF, or put one into {paths.models_folder()}"
    raise ModelNotFound(f"there is no model {name} here", did_you_mean(name, [*known, DEMO_NAME], otherwise))
