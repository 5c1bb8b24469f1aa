"""Which GGUF a model's name means: a path, `demo`, or a model on this machine by its own or its catalog's name.

The catalog and the list of local models are read only if the name requires them.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from hermes_cli.errors import ModelNotFound
from hermes_cli.files import check_hint
from hermes_cli.gguf.file import kind_of_file, not_gguf
from hermes_cli.gguf.kind import START_BYTES
from hermes_cli.models.aliases import without_alias
from hermes_cli.models.model import DEMO_NAME, FoundModel, demo_model
from hermes_cli.store.settings.model_tables import ModelTable


def find_model(name: str | None, known: Mapping[str, ModelTable] | None = None) -> FoundModel:
    """The chat model `name` stands for; without a name the best Hermes 3 here, else the demo model.

    `known` is as for `without_alias`. Raises ModelNotFound, also for a file that is not a chat model.
    """
    found = _resolved(name, known) if name else _default()
    if found.missing:
        raise ModelNotFound(
            f"{found.name} lacks {len(found.missing)} of its {len(found.parts)} files: {found.missing[0]}",
            f"put it into {found.path.parent} with the others, or pull the model again",
        )
    if found.kind:
        why = "" if found.is_damaged else ": it cannot chat"
        raise ModelNotFound(f"{found.name} is {found.kind}{why}", _hint_for(found.kind))
    return found


def find_file(name: str) -> FoundModel:
    """The model or other GGUF that `name` stands for, with what is known of a file in a store.

    Raises ModelNotFound.
    """
    found = _resolved(name)
    if found.origin != "own":
        return found
    from hermes_cli.models.library import found_files

    real = os.path.realpath(found.path)
    return next((model for model in found_files() if os.path.realpath(model.path) == real), found)


def _default() -> FoundModel:
    from hermes_cli.models.by_name import best_hermes

    return best_hermes() or demo_model()


def _resolved(name: str, known: Mapping[str, ModelTable] | None = None) -> FoundModel:
    name = without_alias(name, known)
    if name.lower() == DEMO_NAME:
        return demo_model()
    if not _is_file(name):
        from hermes_cli.models.by_name import find_named

        if found := find_named(name):
            return found
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib raises for unknown users
    _check_file(path)
    return FoundModel(path.stem, path, "own", None, (path,), (), kind_of_file(path))


def without_download(name: str) -> Path | None:
    """The demo model, or a file by its path; None for what may need a download. Raises ModelNotFound."""
    from hermes_cli.models import catalog

    name = without_alias(name)
    is_here = _is_file(name) and not catalog.look_up(name)
    return find_model(name).path if is_here or name.lower() == DEMO_NAME else None


def saved_name(name: str) -> str:
    """The name to save for a model: the absolute path where `name` is a file, so that it holds in any folder."""
    path = os.path.expanduser(name)  # noqa: PTH111 - pathlib raises for unknown users
    is_file = os.path.isfile(path) and name.lower() != DEMO_NAME and without_alias(name) == name  # noqa: PTH113
    return os.path.realpath(path) if is_file else name


def _hint_for(kind: str) -> str:
    """The hint if a file of that kind was given as a model."""
    if "projector" in kind:
        return "name the model that it belongs to; images are not supported"
    if "adapter" in kind:
        return "name its base model, and the adapter with --lora"
    if "LFS" in kind or "Xet" in kind:
        return "get the file itself: git lfs pull in its repository, or hermes pull"
    return "name another with --model; list the local models: hermes models"


def _is_file(name: str) -> bool:
    return os.path.isfile(os.path.expanduser(name))  # noqa: PTH111, PTH113 - pathlib raises for unknown users


def _check_file(path: Path) -> None:
    """Raise ModelNotFound for a path that is not a GGUF file that can be read."""
    # os.path never raises here, pathlib does: for a name that is too long, for a folder that may not be read.
    if not os.path.exists(path):  # noqa: PTH110
        raise ModelNotFound(f"there is no file {path}", "check the path; `--model demo` always works")
    if path.is_dir():
        raise ModelNotFound(f"{path} is a folder, not a GGUF file", _folder_hint(path))
    if not path.is_file():
        raise ModelNotFound(f"{path} is not a regular file", "give the path of a GGUF file")
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error.strerror}", check_hint(path)) from error
    if start[:4] != b"GGUF":
        raise not_gguf(path, start)


def _folder_hint(folder: Path) -> str:
    inside = next(iter(sorted(folder.glob("*.gguf"))), None)
    return f"name a file in it: --model {inside}" if inside else "name a GGUF file with --model"
