"""The models on this machine: in the models folder, and those that other programs keep, used where they lie."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hermes_cli import paths
from hermes_cli.files import read_json
from hermes_cli.gguf.parts import all_parts
from hermes_cli.models.names import QUANT, quant_of
from hermes_cli.models.records import record_of

Origin = Literal["bundled", "pulled", "own", "Hugging Face", "LM Studio", "Ollama"]
_PART = re.compile(r"-(\d{5})-of-\d{5}$")
_DEEPEST = 4
_MODEL_LAYER = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model here. `path` is its only file or the first of its parts; `missing` names parts that are not there."""

    name: str
    path: Path
    origin: Origin
    repository: str | None = None
    parts: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def quant(self) -> str | None:
        """As its name tells."""
        return quant_of(self.name) or quant_of(self.path.name)

    @property
    def size_bytes(self) -> int:
        """All parts together; 0 for what cannot be looked at."""
        total = 0
        for part in self.parts:
            with suppress(OSError):
                total += part.stat().st_size
        return total

    @property
    def base_name(self) -> str:
        """The name without its quant, in small letters."""
        return QUANT.sub("", self.name).lower().removeprefix("nousresearch_")


def found_models() -> list[FoundModel]:
    """All models here, our own first; a file that several names lead to is listed once."""
    places = (_own(), _hugging_face(), _lm_studio(), _ollama())
    seen: set[str] = set()
    models = []
    for model in (model for place in places for model in place):
        real = os.path.realpath(model.path)
        if real not in seen:
            seen.add(real)
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
            blob = _ollama_blob(root, manifest)
            if len(parts) != 4 or blob is None:
                continue
            registry, owner, model, tag = parts
            known = registry == "registry.ollama.ai"
            name = f"{model}:{tag}" if known and owner == "library" else f"{owner}/{model}:{tag}"
            repository = f"{owner}/{model}" if registry in ("hf.co", "huggingface.co") else None
            yield FoundModel(name if not repository else f"{registry}/{name}", blob, "Ollama", repository, (blob,))


def _ollama_blob(root: Path, manifest: Path) -> Path | None:
    try:
        layers = read_json(manifest)["layers"]
        digest = next(layer["digest"] for layer in layers if layer["mediaType"] == _MODEL_LAYER)
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return None
        blob = root / "blobs" / digest.replace(":", "-")
        with blob.open("rb") as stream:
            return blob if stream.read(4) == b"GGUF" else None
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None


def _model(file: Path, origin: Origin, repository: str | None) -> Iterator[FoundModel]:
    """The model of which `file` is the first or only part."""
    part = _PART.search(file.stem)
    if re.search(r"mmproj|imatrix", file.name, re.IGNORECASE) or (part and int(part[1]) != 1):
        return
    files = [file.with_name(name) for name in all_parts(file.name)]
    missing = tuple(other.name for other in files if not other.is_file())
    yield FoundModel(_PART.sub("", file.stem), file, origin, repository, tuple(files), missing)


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
