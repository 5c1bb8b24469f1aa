"""Finding local models by name: of the catalog, of the file, or of the repository."""

import os
import shlex

from hermes_cli import paths
from hermes_cli.errors import ModelNotFound, did_you_mean
from hermes_cli.gguf.parts import all_parts
from hermes_cli.gguf.quant import preference
from hermes_cli.models import catalog, recommend
from hermes_cli.models.library import found_files, found_models
from hermes_cli.models.model import DEMO_NAME, FoundModel
from hermes_cli.models.names import HubReference, Reference, UrlReference, address, is_remote, reference
from hermes_cli.models.records import record_of


def best_hermes() -> FoundModel | None:
    """The local Hermes 3 that is used if no model is named."""
    return recommend.best([model for model in found_models() if model.is_hermes_3 and not model.missing])


def other_models() -> list[FoundModel]:
    """Local chat models other than Hermes 3; they are used only if named."""
    return [model for model in found_models() if not model.is_hermes_3 and not model.missing]


def use_of_others() -> str | None:
    """A notice that lists the local models and how to use one, if none is a Hermes 3; None if there are none."""
    names = list(dict.fromkeys(model.name for model in other_models()))
    if not names:
        return None
    more = f" and {len(names) - 3} more (hermes models)" if len(names) > 3 else ""
    return f"other local models: {', '.join(names[:3])}{more}; to use one: -m {shlex.quote(names[0])}"


def find_named(name: str) -> FoundModel | None:
    """The local model of that name or source; None if it can only be a path. Raises ModelNotFound."""
    files = found_files()
    models = [file for file in files if file.kind is None]
    listed = [file for file in files if file.name.lower() == name.lower()]
    if listed and ("/" in name or not catalog.look_up(name)):
        return recommend.best(listed) or listed[0]
    if is_remote(name):
        return _downloaded(name)
    is_path = os.sep in name or name.startswith("~") or (name.endswith(".gguf") and os.path.lexists(name))
    # A name with slashes may be longer, as `OWNER/MODEL` of Ollama's `OWNER/MODEL:TAG`.
    begins_a_name = any(model.name.lower().startswith(f"{name.lower()}:") for model in models)
    return None if is_path and not begins_a_name else _by_name(name, models, files)


def _by_name(name: str, models: list[FoundModel], files: list[FoundModel]) -> FoundModel:
    """The model here of that name: of the catalog, its own, its file's, or the beginning of its own.

    Raises ModelNotFound.
    """
    if not name:  # the empty text is the beginning of every name
        raise ModelNotFound("the name of the model is empty", "list the local models: hermes models")
    known, wanted = catalog.look_up(name), name.lower()
    matches = models_of(known, models) if known else []
    matches = matches or [model for model in models if wanted in _names(model)]
    if matches:
        return recommend.best(matches) or matches[0]
    matches = [model for model in models if model.name.lower().startswith(wanted)]
    if len({model.name for model in matches}) == 1:
        return matches[0]
    if matches:
        names = ", ".join(dict.fromkeys(model.name for model in matches))
        raise ModelNotFound(f"{name} is ambiguous: {names}", "type more of the name")
    others = [file for file in files if file.kind and wanted in _names(file)]
    if others:
        return others[0]
    if known:
        catalog.check_quant(*known)
        raise ModelNotFound(f"{known[0].title} is not downloaded", f"download it: hermes pull {name.lower()}")
    if wanted.endswith(".gguf"):
        hint = did_you_mean(name, [model.path.name for model in models], "list the local models: hermes models")
        raise ModelNotFound(f"there is no file {name}, and no model of that name", hint)
    choices = [*(model.name for model in models), DEMO_NAME, *catalog.names()]
    otherwise = f"list the local models: hermes models; put your own GGUF files into {paths.models_folder()}"
    raise ModelNotFound(f"there is no local model {name}", did_you_mean(name, choices, otherwise))


def _names(model: FoundModel) -> tuple[str, ...]:
    """What a model is called by, in small letters: its name, without Ollama's `:latest` too, and its file's name."""
    name, file = model.name.lower(), model.path.name.lower()
    return name, name.removesuffix(":latest"), f"{name}.gguf", model.path.stem.lower(), file


def models_of(known: tuple[catalog.CatalogModel, str | None], models: list[FoundModel]) -> list[FoundModel]:
    """Those of `models` that are this model of the catalog, complete and in the quant if one is named."""
    model, quant = known
    return [
        found
        for found in models
        if not found.missing and recommend.is_of(found, model) and (quant is None or found.quant == quant)
    ]


def already_here(wanted: Reference) -> FoundModel | None:
    """The local file of a download reference, if it exists."""
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
    if wanted.folder and f"/{wanted.folder}/" not in model.path.as_posix():
        return False
    return wanted.quant in (None, model.quant)


def _downloaded(name: str) -> FoundModel:
    found = already_here(reference(name))
    if found is None:
        raise ModelNotFound(f"{name} is not downloaded", f"download it: hermes pull {shlex.quote(name)}")
    return found
