"""Recommends a model for this machine: the memory that each needs, and the best one that fits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hermes_cli.engine import hardware
from hermes_cli.engine.load_options import ALL_LAYERS, GPU_BATCH_TOKENS, LoadSettings
from hermes_cli.errors import EngineError
from hermes_cli.gguf.header import Header
from hermes_cli.machine.context_lengths import USUAL_TOKENS
from hermes_cli.machine.memory_plan import GPU_SPARE_BYTES, PROGRAM_BYTES, estimate, fits
from hermes_cli.models.catalog import DEFAULT_QUANT, QUANTS, CatalogModel, catalog, default_model
from hermes_cli.models.model import FoundModel

if TYPE_CHECKING:
    from hermes_cli.engine.llama.devices import Gpu

_MANY_CORES = 8
_QUARTER = 4
_SMALLER = "hermes-3-3b"
_USABLE_SPEED = 6.0  # tokens per second, about as fast as people read


@dataclass(frozen=True, slots=True)
class Processor:
    """What decides how fast the CPU generates: `bytes_per_s` is what all cores read from memory together."""

    memory_bytes: int
    cores: int
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model of the catalog in a quant, and the reason for it. Without a `processor` it runs on the GPU."""

    model: CatalogModel
    quant: str
    why: str
    processor: Processor | None = None
    slower: "Recommendation | None" = None  # the better model that would be too slow here

    @property
    def name(self) -> str:
        """What to give to `hermes pull`."""
        return self.model.name if self.quant == DEFAULT_QUANT else f"{self.model.name}:{self.quant}"

    @property
    def on_gpu(self) -> bool:
        """Whether all of it fits on the GPUs."""
        return self.processor is None

    @property
    def tokens_per_s(self) -> float:
        """The estimated speed of generation on the CPU, which reads all weights for each token."""
        return self.processor.bytes_per_s / self.model.size_bytes(self.quant) if self.processor else math.inf

    @property
    def memory_bytes(self) -> int:
        """The memory it needs with the usual context length."""
        return gpu_bytes(self.model, self.quant) if self.on_gpu else needed_bytes(self.model, self.quant)

    def expected_speed(self) -> str:
        """The speed of generation in words."""
        if self.on_gpu:
            return "entirely on the GPU"
        speed = self.tokens_per_s
        return f"roughly {speed:.0f} tok/s" if speed >= 1.5 else "1 tok/s or less"


def needed_bytes(model: CatalogModel, quant: str) -> int:
    """The memory it takes on the CPU, with the usual context length and an f16 cache."""
    return estimate(_header(model, quant), LoadSettings(context_length=USUAL_TOKENS)).total_bytes


def gpu_bytes(model: CatalogModel, quant: str) -> int:
    """The memory it takes on a GPU, with the usual context length, an f16 cache and spare room."""
    settings = LoadSettings(
        context_length=USUAL_TOKENS, gpu_layers=ALL_LAYERS, batch_tokens=GPU_BATCH_TOKENS, flash_attention=None
    )
    return estimate(_header(model, quant), settings).gpu_bytes + GPU_SPARE_BYTES


def _header(model: CatalogModel, quant: str) -> Header:
    """What the header of its file will say, as far as an estimate needs it; all layers are equally large."""
    shape, size = model.shape, model.size_bytes(quant)
    values = {
        "block_count": shape.layers,
        "embedding_length": shape.width,
        "feed_forward_length": shape.feed_forward,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head_size,
        "attention.value_length": shape.head_size,
        "vocab_size": shape.vocabulary,
    }
    groups = ("output", *(f"blk.{layer}" for layer in range(shape.layers)))
    return Header(
        {"general.architecture": "llama", **{f"llama.{key}": value for key, value in values.items()}},
        tensor_count=0,
        parameters=model.parameters,
        weights_bytes=size,
        file_bytes=size,
        group_bytes=dict.fromkeys(groups, size // len(groups)),
    )


def recommended(gpus: "Sequence[Gpu]" = (), processor: Processor | None = None) -> Recommendation:
    """The model to download on this machine: the largest model and quant that fits and is fast enough.

    On GPUs the finest quant that they hold; on a CPU the speed falls as the file grows, so a finer one than Q4_K_M is
    for machines with plenty of memory and cores, and below 6 tokens per second the 3B model comes first.
    """
    model, video = default_model(), sum(gpu.free_bytes for gpu in gpus)
    for quant in reversed(QUANTS):
        if gpu_bytes(model, quant) <= video:
            return Recommendation(model, quant, f"the GPU has {video / 1e9:.0f} GB free")
    found = _largest_on(processor or this_processor())
    usual = replace(found, quant=DEFAULT_QUANT)
    if found.model.name == _SMALLER or found.tokens_per_s >= _USABLE_SPEED:
        return found
    if usual.tokens_per_s >= _USABLE_SPEED:
        return usual
    why = f"the 8B model would generate {usual.expected_speed()} on this machine"
    return Recommendation(_smaller_model(), DEFAULT_QUANT, why, found.processor, slower=usual)


def this_processor() -> Processor:
    """The CPU and memory of this machine, measured in 0.1 s."""
    cores = hardware.physical_cores()
    return Processor(hardware.memory_bytes(), cores, hardware.reading_bytes_per_s(cores))


def _smaller_model() -> CatalogModel:
    return next(model for model in catalog() if model.name == _SMALLER)


def _largest_on(processor: Processor) -> Recommendation:
    """The largest quant of the default model that fits, whatever its speed, or the smaller model."""
    memory, model = processor.memory_bytes, default_model()
    room = f"this machine has {memory / 1e9:.0f} GB of memory"
    if processor.cores >= _MANY_CORES:
        for quant in ("Q8_0", "Q6_K", "Q5_K_M"):
            if needed_bytes(model, quant) * _QUARTER <= memory:
                return Recommendation(model, quant, f"{room} and many cores", processor)
    if fits(needed_bytes(model, DEFAULT_QUANT), memory):
        return Recommendation(model, DEFAULT_QUANT, room, processor)
    return Recommendation(_smaller_model(), DEFAULT_QUANT, f"{room}, too little for the 8B model", processor)


def usable_gpus() -> "tuple[Gpu, ...]":
    """The GPUs that llama.cpp can use here; none where it cannot run at all."""
    from hermes_cli.machine.load_plan import this_machine

    try:
        return this_machine().gpus
    except EngineError:
        return ()


def best(models: Sequence[FoundModel]) -> FoundModel | None:
    """The default among models here: what fits into memory first, then the default size, then the finest quant.

    It does not depend on the memory that is free now, so it is the same model every time.
    """
    memory = hardware.memory_bytes()
    sizes = {model.path: model.size_bytes for model in models}

    def rank(found: FoundModel) -> tuple[bool, int, int]:
        size = sizes[found.path]
        usable = fits(size + PROGRAM_BYTES, memory)
        return not usable, _place_in_catalog(found) if usable else 0, -size if usable else size

    return min(models, key=rank, default=None)


def _place_in_catalog(found: FoundModel) -> int:
    models = catalog()
    return next((place for place, model in enumerate(models) if is_of(found, model)), len(models))


def is_of(found: FoundModel, model: CatalogModel) -> bool:
    """Whether a local file is this model of the catalog, in any quant and from any publisher."""
    if found.repository and found.repository.lower() == model.repository.lower():
        return True
    known = (name for name in (model.name, *model.aliases) if name.startswith("hermes"))
    return found.base_name in known
