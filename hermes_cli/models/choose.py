"""Which GGUF a model name means: a path, `demo`, or a model on this machine by its own or its catalog's name."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import ModelNotFound, did_you_mean
from hermes_cli.gguf.parts import all_parts
from hermes_cli.models import catalog, recommend
from hermes_cli.models.library import FoundModel, found_models
from hermes_cli.models.names import HubReference, Reference, UrlReference, address, is_remote, preference, reference
from hermes_cli.models.records import record_of

DEMO_NAME = "demo"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to open: the name people use and the file."""

    name: str
    path: Path


def find_model(name: str | None) -> ModelSpec:
    """The model `name` stands for; without a name the best Hermes 3 here, else the demo model. Raises ModelNotFound."""
    if not name:
        found = best_hermes()
        return _spec(found) if found else demo_model()
    if name.lower() == DEMO_NAME:
        return demo_model()
    if is_remote(name):
        return _spec(_downloaded(name))
    if _looks_like_path(name):
        return _model_file(Path(os.path.expanduser(name)))  # noqa: PTH111 - pathlib raises for unknown users
    return _spec(by_name(name))


def without_download(name: str) -> Path | None:
    """The demo model, or a file by its path; None for what may need a download. Raises ModelNotFound."""
    path = os.path.expanduser(name)  # noqa: PTH111 - pathlib raises for unknown users
    is_file = os.path.isfile(path) and not catalog.look_up(name)  # noqa: PTH113
    return find_model(name).path if is_file or name.lower() == DEMO_NAME else None


def lasting_name(name: str) -> str:
    """What stands for the same model in any folder: its whole path where `name` is one."""
    path = os.path.expanduser(name)  # noqa: PTH111 - pathlib raises for unknown users
    return os.path.realpath(path) if name.lower() != DEMO_NAME and os.path.isfile(path) else name  # noqa: PTH113


def demo_model() -> ModelSpec:
    """The tiny model that travels with the program."""
    return ModelSpec(DEMO_NAME, paths.DEMO_MODEL)


def installed_models() -> list[ModelSpec]:
    """The models on this machine, our own first, then those of other programs."""
    return [ModelSpec(model.name, model.path) for model in found_models() if not model.missing]


def best_hermes() -> FoundModel | None:
    """The Hermes 3 here that is used where no model is named."""
    return recommend.best([model for model in found_models() if _is_hermes_3(model) and not model.missing])


def by_name(name: str) -> FoundModel:
    """The model here of that name: of the catalog, its own, or the beginning of its own. Raises ModelNotFound."""
    if not name:  # what every name begins with
        raise ModelNotFound("the name of the model is empty", "see what is here: hermes models")
    models = found_models()
    known = catalog.look_up(name)
    matches = models_of(known, models) if known else []
    matches = matches or [model for model in models if name.lower() in (model.name.lower(), model.path.stem.lower())]
    if matches:
        return recommend.best(matches) or matches[0]
    matches = [model for model in models if model.name.lower().startswith(name.lower())]
    if len({model.name for model in matches}) == 1:
        return matches[0]
    if matches:
        names = ", ".join(dict.fromkeys(model.name for model in matches))
        raise ModelNotFound(f"{name} could be {names}", "give more of the name")
    if known:
        raise ModelNotFound(f"{known[0].title} is not here", f"download it: hermes pull {name.lower()}")
    otherwise = f"see what there is: hermes models; a GGUF of your own is found in {paths.models_folder()}"
    choices = [*(model.name for model in models), DEMO_NAME, *catalog.names()]
    raise ModelNotFound(f"there is no model {name} here", did_you_mean(name, choices, otherwise))


def models_of(known: tuple[catalog.CatalogModel, str | None], models: list[FoundModel]) -> list[FoundModel]:
    """Those of `models` that are this model of the catalog, complete and in the quant if one is named."""
    model, quant = known
    return [
        found
        for found in models
        if not found.missing and recommend.is_of(found, model) and (quant is None or found.quant == quant)
    ]


def already_here(wanted: Reference) -> FoundModel | None:
    """The file that a reference to something to download means, if it is here."""
    models = [model for model in found_models() if not model.missing]
    if isinstance(wanted, UrlReference):
        return next((model for model in models if _is_at(model, wanted)), None)
    if isinstance(wanted, HubReference):
        matches = [model for model in models if _is_from(model, wanted)]
        return min(matches, key=lambda model: preference(model.quant), default=None)
    matches = models_of((wanted.model, wanted.quant), models)
    return matches[0] if matches else None


def _is_at(model: FoundModel, wanted: UrlReference) -> bool:
    record = record_of(model.path) if model.origin == "pulled" else None
    return record is not None and address(record.url) == wanted.address


def _is_from(model: FoundModel, wanted: HubReference) -> bool:
    if (model.repository or "").lower() != wanted.repository.lower():
        return False
    if wanted.is_pinned:
        record = record_of(model.path)
        return record is not None and record.source == str(wanted)
    if wanted.file:
        return model.path.as_posix().endswith(f"/{all_parts(wanted.file)[0]}")
    return wanted.quant in (None, model.quant)


def _downloaded(name: str) -> FoundModel:
    found = already_here(reference(name))
    if found is None:
        raise ModelNotFound(f"{name} is not here", f"download it: hermes pull {shlex.quote(name)}")
    return found


def _is_hermes_3(model: FoundModel) -> bool:
    names = (model.base_name, (model.repository or "").lower().rpartition("/")[2])
    return any(name.startswith(("hermes-3", "hermes3")) for name in names)


def _spec(model: FoundModel) -> ModelSpec:
    if model.missing:
        raise ModelNotFound(
            f"{model.name} lacks {len(model.missing)} of its {len(model.parts)} files: {model.missing[0]}",
            f"put it beside the others in {model.path.parent}, or pull the model again",
        )
    return ModelSpec(model.name, model.path)


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
