"""The local models: those in the models folder, and those of other programs, which are used in place."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.gguf.file import kind_of_file
from hermes_cli.gguf.parts import all_parts, is_later_part, without_part
from hermes_cli.models.model import FoundModel, Origin
from hermes_cli.models.records import record_of

_DEEPEST = 4
_LARGEST_MANIFEST_BYTES = 1 << 20
_LAYER = "application/vnd.ollama.image."


def found_models() -> list[FoundModel]:
    """The chat models here, our own first; a file under two names is listed with both."""
    return [model for model in found_files() if model.kind is None]


def found_files() -> list[FoundModel]:
    """All local models, and other GGUF files that cannot chat."""
    places = (_own(), _hugging_face(), _lm_studio(), _ollama())
    seen: set[tuple[str, str]] = set()
    models = []
    for model in (model for place in places for model in place):
        key = (model.name, os.path.realpath(model.path))
        if key not in seen:
            seen.add(key)
            models.append(model)
    return models


def _own() -> Iterator[FoundModel]:
    root = paths.models_folder()
    for file in _gguf_files(root):
        yield from _model(file, "pulled" if record_of(file) else "own", _repository(root, file))


def _hugging_face() -> Iterator[FoundModel]:
    for folder in _children(paths.hugging_face_folder()):
        if not folder.name.startswith("models--"):
            continue
        repository = folder.name.removeprefix("models--").replace("--", "/", 1)
        for snapshot in _children(folder / "snapshots"):
            for file in _gguf_files(snapshot):
                yield from _model(file, "Hugging Face", repository)


def _lm_studio() -> Iterator[FoundModel]:
    for root in paths.lm_studio_folders():
        for file in _gguf_files(root):
            yield from _model(file, "LM Studio", _repository(root, file))


def _repository(root: Path, file: Path) -> str | None:
    """What a file at `OWNER/REPOSITORY/FILE` belongs to."""
    parts = file.relative_to(root).parts
    return "/".join(parts[:2]) if len(parts) > 2 else None


def _ollama() -> Iterator[FoundModel]:
    """Its models are blobs without an ending; a manifest at `registry/owner/model/tag` names the one of the weights."""
    for root in paths.ollama_folders():
        for manifest in _files(root / "manifests", ""):
            parts = manifest.relative_to(root / "manifests").parts
            layers = _ollama_layers(manifest)
            blob = _ollama_blob(root, layers.get("model"))
            if len(parts) != 4 or blob is None:
                continue
            registry, owner, model, tag = parts
            on_hub = registry in ("hf.co", "huggingface.co")
            short = f"{model}:{tag}" if owner == "library" else f"{owner}/{model}:{tag}"
            name = short if registry == "registry.ollama.ai" else f"{registry}/{owner}/{model}:{tag}"
            kind = "a model with a LoRA adapter of Ollama" if "adapter" in layers else kind_of_file(blob)
            yield FoundModel(name, blob, "Ollama", f"{owner}/{model}" if on_hub else None, (blob,), (), kind)


def _ollama_layers(manifest: Path) -> dict[str, str]:
    """The digests in a manifest by their kind: `model`, `template`, `adapter`; empty if it cannot be read."""
    try:
        with manifest.open("rb") as stream:
            layers: list[dict[str, Any]] = json.loads(stream.read(_LARGEST_MANIFEST_BYTES))["layers"]
        return {str(one["mediaType"]).removeprefix(_LAYER): str(one["digest"]) for one in layers}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _ollama_blob(root: Path, digest: str | None) -> Path | None:
    """The file of a digest, if it is a GGUF."""
    if not digest or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    blob = root / "blobs" / digest.replace(":", "-")
    with suppress(OSError), blob.open("rb") as stream:
        return blob if stream.read(4) == b"GGUF" else None
    return None


def _model(file: Path, origin: Origin, repository: str | None) -> Iterator[FoundModel]:
    """The model of which `file` is the first or only part."""
    if is_later_part(file.name):
        return
    files = [file.with_name(name) for name in all_parts(file.name)]
    missing = tuple(other.name for other in files if not other.is_file())
    name = without_part(file.stem)
    yield FoundModel(name, file, origin, repository, tuple(files), missing, kind_of_file(file))


def _gguf_files(root: Path) -> Iterator[Path]:
    return _files(root, ".gguf")


def _files(root: Path, ending: str) -> Iterator[Path]:
    """The files below `root` with that ending, sorted, a few folders deep at most; folder links are not followed."""
    for folder, folders, names in os.walk(root):
        if len(Path(folder).relative_to(root).parts) >= _DEEPEST:
            folders.clear()
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if name.lower().endswith(ending) and not name.startswith(".") and os.path.isfile(file):  # noqa: PTH113
                yield file


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return []
