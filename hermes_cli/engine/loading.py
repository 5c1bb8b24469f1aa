"""From a GGUF file to a model and a context: the settings that are wished for, or the next ones that memory allows."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_cli import paths
from hermes_cli.engine import hardware
from hermes_cli.engine.cache import kv_store
from hermes_cli.engine.cache.kv_cache import KvCache
from hermes_cli.engine.cache.kv_store import KvStore
from hermes_cli.engine.fingerprint import fingerprint as build_fingerprint
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.devices import gpus
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.load_options import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, LoadOptions
from hermes_cli.errors import EngineError, OutOfMemory

_WINDOW_TOKENS = 4096
_ONE_THREAD_BYTES = 100_000_000
_LEAST_FREE_BYTES = (
    200_000_000  # of a GPU: its kernels allocate when they first run, and end the program if they cannot
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to answer, how it was opened, and what the user should know about that."""

    model: Model
    cache: KvCache
    options: LoadOptions
    notes: tuple[str, ...]


def load(path: Path, attempts: Sequence[LoadOptions], progress: Callable[[float], bool]) -> Loaded:
    """Open `path` with the first of `attempts` that memory allows; the later ones are for where it turns out short.

    `progress` gets 0 to 1 and stops it by returning False. Raises HermesError of several kinds.
    """
    refused: OutOfMemory | None = None
    for number, options in enumerate(attempts, 1):
        try:
            model, cache, options = _opened(path, options, progress)
        except OutOfMemory as problem:
            if number == len(attempts):
                raise
            refused = refused or problem
            continue
        notes = (f"memory is short ({refused.message}): going on with {_in_words(options)}",) if refused else ()
        return Loaded(model, cache, options, notes)
    raise ValueError("there is nothing to attempt")


def _opened(path: Path, options: LoadOptions, progress: Callable[[float], bool]) -> tuple[Model, KvCache, LoadOptions]:
    # Before loading: a file put in its place later has another identity.
    weights = _identity(path) if options.kv_store_bytes > 0 else None
    model = make_model(path, options, progress)
    try:
        if not model.can_chat:
            raise EngineError(f"{path} is not a chat model: it cannot write text", "name a chat model with --model")
        options = decided(options, model.size_bytes, model.trained_context_length)
        context = make_context(model, options)
        if options.gpu_layers:
            _check_room(context, options.gpus)
    except BaseException:
        model.close()
        raise
    store = _store(weights, options, is_long=context.is_long) if weights else None
    cache = KvCache(
        context,
        can_go_back=model.can_go_back,
        store=store,
        least_saved_s=options.least_saved_s,
        parked_states=options.parked_states,
    )
    return model, cache, options


def _check_room(context: Context, names: tuple[str, ...] | None) -> None:
    """Raise OutOfMemory where so little of a GPU is left that the first decode would end the program."""
    for gpu in gpus():
        if (names is None or gpu.name in names) and gpu.free_bytes < _LEAST_FREE_BYTES:
            context.close()
            left = f"{gpu.free_bytes / 1e6:.0f} MB of {gpu.name} are left"
            raise OutOfMemory(f"{left} beside the model", "ask for a shorter window with --ctx, or fewer --gpu-layers")


def make_model(path: Path, options: LoadOptions, progress: Callable[[float], bool]) -> Model:
    """The model as the options say."""
    return Model(
        path,
        gpu_layers=options.gpu_layers or 0,
        gpus=options.gpus,
        extra_buffers=options.extra_buffers,
        on_progress=progress,
    )


def make_context(model: Model, options: LoadOptions) -> Context:
    """A context for `model` by options that were `decided`."""
    assert options.context_length and options.batch_tokens and options.threads and options.kv_type
    return Context(
        model,
        context_length=options.context_length,
        batch_size=options.batch_tokens,
        threads=options.threads,
        kv_type=options.kv_type,
        flash_attention=options.flash_attention,
        scored_tokens=options.scored_tokens,
    )


def decided(options: LoadOptions, weights_bytes: int, trained_length: int) -> LoadOptions:
    """The options with what they leave open chosen for a model of that size, trained for so long a window."""
    on_gpu, kv_type = bool(options.gpu_layers), options.kv_type or "f16"
    # Off on a CPU, where it slowed decoding at every depth measured; a quantised cache cannot do without.
    flash = options.flash_attention if options.flash_attention is not None or on_gpu else False
    return replace(
        options,
        context_length=options.context_length or min(trained_length, _WINDOW_TOKENS),
        gpu_layers=options.gpu_layers or 0,
        kv_type=kv_type,
        threads=options.threads or default_threads(weights_bytes),
        batch_tokens=options.batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS),
        flash_attention=flash if kv_type == "f16" else None,
    )


def default_threads(weights_bytes: int) -> int:
    """One for a tiny model: it gains little from more, and where another program takes a core they wait for seconds."""
    return 1 if weights_bytes < _ONE_THREAD_BYTES else hardware.physical_cores()


def placement(options: LoadOptions, layer_count: int) -> str:
    """What computes, in words: `GPU 33/33` for layers of all, or the CPU's threads."""
    layers = options.gpu_layers or 0
    if layers:
        return f"GPU {layer_count if layers < 0 else min(layers, layer_count)}/{layer_count}"
    return f"CPU, {options.threads} thread{'s' * (options.threads != 1)}"


def _in_words(options: LoadOptions) -> str:
    layers = options.gpu_layers
    where = "the CPU alone" if not layers else f"{layers if layers > 0 else 'all'} layers on the GPU"
    return f"a window of {options.context_length:,} tokens, a cache of {options.kv_type} and {where}"


def _identity(path: Path) -> list[object] | None:
    try:
        return kv_store.identity(path)
    except OSError:
        return None


def _store(weights: list[object], options: LoadOptions, *, is_long: bool) -> KvStore:
    """Where this model's states are kept, under a fingerprint of all that their bits depend on."""

    def fingerprint() -> bytes:
        try:
            build = build_fingerprint()
        except OSError:
            return os.urandom(32)  # its files have gone: no entry is for it
        settings = (options.kv_type, options.gpu_layers, options.extra_buffers, options.flash_attention, is_long)
        facts = [build, library.version(), weights, settings]
        return hashlib.sha256(json.dumps(facts).encode()).digest()

    return KvStore(paths.kv_folder(), options.kv_store_bytes, fingerprint)
