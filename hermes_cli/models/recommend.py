"""Which model suits this machine: how much memory one needs, and which of several is the best that fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hermes_cli.engine import hardware
from hermes_cli.engine.load_options import COMFORT_TOKENS, CPU_BATCH_TOKENS, GPU_SPARE_BYTES
from hermes_cli.errors import EngineError
from hermes_cli.models.catalog import DEFAULT_QUANT, QUANTS, CatalogModel, catalog, default_model
from hermes_cli.models.library import FoundModel

if TYPE_CHECKING:
    from hermes_cli.engine.llama.devices import Gpu

_SHARE = 0.8
_BEYOND_BYTES = 150_000_000  # the program itself, its tables, and what computing takes beside the scores
_MANY_CORES = 8
_QUARTER = 4
_SMALLER = "hermes-3-3b"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model of the catalog in a quant, why, and what to expect of it."""

    model: CatalogModel
    quant: str
    why: str
    on_gpu: bool = False

    @property
    def memory_bytes(self) -> int:
        """What it takes with the usual window."""
        return gpu_bytes(self.model, self.quant) if self.on_gpu else needed_bytes(self.model, self.quant)

    def expected_speed(self) -> str:
        """How fast it will write, in words; on a CPU guessed from the speed of the memory, which takes 0.1 s."""
        if self.on_gpu:
            return "all on the GPU"
        speed = hardware.reading_bytes_per_s(hardware.physical_cores()) / self.model.size_bytes(self.quant)
        return f"roughly {speed:.0f} tok/s" if speed >= 1.5 else "1 tok/s or less"


def needed_bytes(model: CatalogModel, quant: str) -> int:
    """The memory it takes with the usual window, an f16 cache, on the CPU; see memory_plan for the scores."""
    per_token = model.kv_bytes_per_token + CPU_BATCH_TOKENS * model.heads * 6
    return model.size_bytes(quant) + COMFORT_TOKENS * per_token + _BEYOND_BYTES


def gpu_bytes(model: CatalogModel, quant: str) -> int:
    """What of a GPU's memory it takes with the usual window and an f16 cache, spare room included."""
    return model.size_bytes(quant) + COMFORT_TOKENS * model.kv_bytes_per_token + GPU_SPARE_BYTES + _BEYOND_BYTES


def recommended(gpus: "Sequence[Gpu]" = ()) -> Recommendation:
    """What to download here without further wishes.

    On GPUs the finest quant that they hold; on a CPU the speed falls as the file grows, so a finer one than Q4_K_M is
    for machines with plenty of memory and cores.
    """
    memory, model = hardware.memory_bytes(), default_model()
    room = f"this machine has {memory / 1e9:.0f} GB of memory"
    video = sum(gpu.free_bytes for gpu in gpus)
    for quant in reversed(QUANTS):
        if gpu_bytes(model, quant) <= video:
            return Recommendation(model, quant, f"the GPU has {video / 1e9:.0f} GB free", on_gpu=True)
    if hardware.physical_cores() >= _MANY_CORES:
        for quant in ("Q8_0", "Q6_K", "Q5_K_M"):
            if needed_bytes(model, quant) * _QUARTER <= memory:
                return Recommendation(model, quant, f"{room} and many cores")
    if needed_bytes(model, DEFAULT_QUANT) <= memory * _SHARE:
        return Recommendation(model, DEFAULT_QUANT, room)
    smaller = next(model for model in catalog() if model.name == _SMALLER)
    return Recommendation(smaller, DEFAULT_QUANT, f"{room}, too little for the 8B model")


def usable_gpus() -> "tuple[Gpu, ...]":
    """The GPUs that llama.cpp computes on here; none where it does not run at all."""
    from hermes_cli.machine.load_plan import this_machine

    try:
        return this_machine().gpus
    except EngineError:
        return ()


def best(models: Sequence[FoundModel]) -> FoundModel | None:
    """The one to use where none is named: what fits into memory first, then the default size, then the finest quant.

    It does not depend on what is free at the moment, so that it is the same one every time.
    """
    limit = hardware.memory_bytes() * _SHARE - _BEYOND_BYTES
    sizes = {model.path: model.size_bytes for model in models}

    def rank(found: FoundModel) -> tuple[bool, int, int]:
        size = sizes[found.path]
        fits = size <= limit
        return not fits, _place_in_catalog(found) if fits else 0, -size if fits else size

    return min(models, key=rank, default=None)


def _place_in_catalog(found: FoundModel) -> int:
    models = catalog()
    return next((place for place, model in enumerate(models) if is_of(found, model)), len(models))


def is_of(found: FoundModel, model: CatalogModel) -> bool:
    """Whether a file here is this model of the catalog, in whatever quant and by whoever packed it."""
    if found.repository and found.repository.lower() == model.repository.lower():
        return True
    known = (name for name in (model.name, *model.aliases) if name.startswith("hermes"))
    return found.base_name in known
