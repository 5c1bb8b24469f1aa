"""Opens a GGUF file as a model and a context, with the first settings for which there is enough memory."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hermes_cli import paths
from hermes_cli.engine.cache import kv_store
from hermes_cli.engine.cache.kv_cache import KvCache
from hermes_cli.engine.cache.kv_store import KvStore
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.devices import gpus
from hermes_cli.engine.llama.fingerprint import fingerprint as build_fingerprint
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.load_options import SELECTED_TOKENS, LoadSettings
from hermes_cli.errors import EngineError, OutOfMemory
from hermes_cli.values import dataclass

# Of a GPU: its kernels allocate when they first run, and end the program if they cannot.
_LEAST_FREE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to answer, the settings it was opened with, and notes about them for the user."""

    model: Model
    cache: KvCache
    settings: LoadSettings
    notes: tuple[str, ...]


def load(path: Path, attempts: Sequence[LoadSettings], progress: Callable[[float], bool]) -> Loaded:
    """Open `path` with the first of `attempts` that memory allows.

    `progress` gets 0 to 1 and stops the load by returning False. Raises EngineError, OutOfMemory, LoadCancelled.
    """
    refused: OutOfMemory | None = None
    for number, settings in enumerate(attempts, 1):
        try:
            model, cache = _opened(path, settings, progress)
        except OutOfMemory as problem:
            if number == len(attempts):
                raise
            refused = refused or problem
            continue
        notes = (f"memory is short ({refused.message}): using {_in_words(settings)} instead",) if refused else ()
        return Loaded(model, cache, settings, notes)
    raise ValueError("no settings to attempt")


def _opened(path: Path, settings: LoadSettings, progress: Callable[[float], bool]) -> tuple[Model, KvCache]:
    # Before loading: a file put in its place later has another identity.
    weights = _identity(path, settings) if settings.kv_store_bytes > 0 else None
    model = make_model(path, settings, progress)
    try:
        if not model.can_chat:
            raise EngineError(f"{path} is not a chat model: it generates no text", "choose another: hermes models list")
        context = _ready_context(model, settings)
    except BaseException:
        model.close()
        raise
    store = _store(weights, settings, is_long=context.is_long) if weights else None
    cache = KvCache(
        context,
        can_go_back=model.can_go_back,
        store=store,
        least_saved_s=settings.least_saved_s,
        parked_states=settings.parked_states,
    )
    return model, cache


def _ready_context(model: Model, settings: LoadSettings) -> Context:
    """A context; with layers on a GPU, one whose kernels are prepared."""
    context = make_context(model, settings)
    try:
        if settings.gpu_layers:
            _check_room(settings.gpus)
            context.select_candidates(SELECTED_TOKENS if settings.device_sampling else 0)
            context.warm_up()
    except BaseException:
        context.close()
        raise
    return context


def _check_room(names: tuple[str, ...] | None) -> None:
    """Raise OutOfMemory if so little of a GPU is free that the first decode would end the program."""
    for gpu in gpus():
        if (names is None or gpu.name in names) and gpu.free_bytes < _LEAST_FREE_BYTES:
            left = f"{gpu.free_bytes / 1e6:.0f} MB of {gpu.name} are left"
            raise OutOfMemory(
                f"{left} after loading the model", "use a shorter context with --ctx, or fewer --gpu-layers"
            )


def make_model(path: Path, settings: LoadSettings, progress: Callable[[float], bool]) -> Model:
    """The model as the settings say. Raises LoadCancelled, OutOfMemory, EngineError."""
    model = Model(
        path,
        gpu_layers=settings.gpu_layers,
        gpus=settings.gpus,
        extra_buffers=settings.extra_buffers,
        on_progress=progress,
    )
    try:
        for adapter in settings.adapters:
            model.add_adapter(adapter.path, adapter.scale)
    except BaseException:
        model.close()
        raise
    return model


def make_context(model: Model, settings: LoadSettings) -> Context:
    """A context for `model` as the settings say."""
    return Context(
        model,
        context_length=settings.context_length,
        batch_size=settings.batch_tokens,
        threads=settings.threads,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
        scored_tokens=settings.scored_tokens,
    )


def placement(settings: LoadSettings, layer_count: int) -> str:
    """Where the model runs: `GPU 33/33` (layers on the GPU, of all), or `CPU, 2 threads`."""
    layers = settings.gpu_layers
    if layers:
        return f"GPU {layer_count if layers < 0 else min(layers, layer_count)}/{layer_count}"
    return f"CPU, {settings.threads} thread{'s' * (settings.threads != 1)}"


def _in_words(settings: LoadSettings) -> str:
    layers = settings.gpu_layers
    where = "the CPU alone" if not layers else f"{layers if layers > 0 else 'all'} layers on the GPU"
    return f"a context of {settings.context_length:,} tokens, a KV cache of type {settings.kv_type} and {where}"


def _identity(path: Path, settings: LoadSettings) -> list[object] | None:
    """An identifier of the weights, adapters included; None if a file cannot be read."""
    try:
        adapters = [[kv_store.identity(adapter.path), adapter.scale] for adapter in settings.adapters]
        return [*kv_store.identity(path), *adapters]
    except OSError:
        return None


def _store(weights: list[object], settings: LoadSettings, *, is_long: bool) -> KvStore:
    """Where this model's states are saved, under a fingerprint of everything their bits depend on."""

    def fingerprint() -> bytes:
        try:
            build = build_fingerprint()
        except OSError:
            return os.urandom(32)  # the library's files are gone: no entry matches
        used = (settings.kv_type, settings.gpu_layers, settings.extra_buffers, settings.flash_attention, is_long)
        facts = [build, library.version(), weights, used]
        return hashlib.sha256(json.dumps(facts).encode()).digest()

    return KvStore(paths.kv_folder(), settings.kv_store_bytes, fingerprint)
