"""The catalog: models with short names, their repository, files, sizes and checksums."""

from dataclasses import dataclass
from functools import cache

from hermes_cli import paths
from hermes_cli.errors import ModelNotFound, did_you_mean
from hermes_cli.gguf.quant import normal_quant, quant_of

QUANTS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
DEFAULT_QUANT = "Q4_K_M"
# Bits for a weight, all tensors together, as the 8B files have them.
_BITS = {"Q4_K_M": 4.9, "Q5_K_M": 5.71, "Q6_K": 6.57, "Q8_0": 8.51}


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A file as the catalog knows it; None for what only the hub knows."""

    quant: str
    path: str | None
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a network that its memory depends on."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model, in all its quants."""

    name: str
    title: str
    about: str
    aliases: tuple[str, ...]
    repository: str
    parameters: int
    shape: Shape
    files: tuple[CatalogFile, ...]

    def file(self, quant: str) -> CatalogFile:
        """The file of that quant, one of QUANTS."""
        return next(file for file in self.files if file.quant == quant)

    def size_bytes(self, quant: str) -> int:
        """The size in bytes, estimated from the number of weights if it is not known."""
        return self.file(quant).bytes or size_estimate(self.parameters, quant)


def size_estimate(parameters: int, quant: str) -> int:
    """The estimated size in bytes of a file with that number of weights."""
    return int(parameters * _BITS[quant] / 8)


@cache
def catalog() -> tuple[CatalogModel, ...]:
    """All models, the default first."""
    import tomllib

    return tuple(_model(entry) for entry in tomllib.loads(paths.CATALOG.read_text(encoding="utf-8"))["model"])


def default_model() -> CatalogModel:
    """The model that is recommended where it fits."""
    return catalog()[0]


def look_up(name: str) -> tuple[CatalogModel, str | None] | None:
    """The model and quant in `hermes-3-8b:Q5_K_M`, `3b` or the like, in any case; None for any other name.

    The quant may be one that the catalog does not have.
    """
    wanted = name.lower()
    for model in catalog():
        for known in (model.name, *model.aliases):
            if wanted == known:
                return model, None
            quant = wanted.removeprefix(known).removeprefix(":") if wanted.startswith(f"{known}:") else ""
            # `hermes3:8b` is a name too; only text that looks like a quant is one.
            if quant_of(f":{quant}"):
                return model, normal_quant(quant)
    return None


def names() -> list[str]:
    """Every name a model can be called by."""
    return [name for model in catalog() for name in (model.name, *model.aliases)]


def nothing_called(name: str) -> ModelNotFound:
    """The error for a name of a model to download that the catalog does not have."""
    otherwise = "list all names: hermes models list --all; or name any GGUF: hf:OWNER/REPOSITORY:QUANT"
    return ModelNotFound(f"there is no model called {name}", did_you_mean(name.lower(), names(), otherwise))


def check_quant(model: CatalogModel, quant: str | None) -> None:
    """Raise ModelNotFound for a quant that the catalog does not have."""
    if quant is not None and quant not in QUANTS:
        hint = f"the catalog has {', '.join(QUANTS)}; others by repository: hermes pull hf:{model.repository}:{quant}"
        raise ModelNotFound(f"the catalog does not have {model.name} as {quant}", hint)


def _model(entry: dict[str, object]) -> CatalogModel:
    known = entry.pop("files", {})
    assert isinstance(known, dict)
    files = tuple(
        CatalogFile(quant, given.get("path"), given.get("bytes"), given.get("sha256"))
        for quant, given in ((quant, known.get(quant, {})) for quant in QUANTS)
    )
    aliases, shape = entry.pop("aliases"), entry.pop("shape")
    assert isinstance(aliases, list) and isinstance(shape, dict)
    return CatalogModel(**entry, aliases=tuple(aliases), shape=Shape(**shape), files=files)  # type: ignore[arg-type]
