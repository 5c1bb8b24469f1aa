"""From a GGUF file to a model and a context that fit this machine, with the settings that are proved to work here."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hermes_cli import paths
from hermes_cli.engine import context_length, hardware, kv_store, native, probe
from hermes_cli.engine.kv_cache import KvCache
from hermes_cli.engine.kv_store import KvStore
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.engine.native_context import Context
from hermes_cli.engine.native_model import Model
from hermes_cli.errors import EngineError

_GPU_BATCH_TOKENS = 512
_ONE_THREAD_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to answer, and what the user should know about how."""

    model: Model
    cache: KvCache
    notes: tuple[str, ...]


def load(path: Path, options: LoadOptions, progress: Callable[[float], bool]) -> Loaded:
    """Load `path`; `progress` gets 0 to 1 and stops it by returning False. Raises HermesError of several kinds."""
    proved = _proved(progress)
    notes: list[str] = []
    if options.gpu_layers and not proved.gpu:
        notes.append(f"the GPU is not used: {proved.failures.get('gpu', 'this build of llama.cpp finds none')}")
    gpu_layers = 0 if not proved.gpu else -1 if options.gpu_layers is None else options.gpu_layers
    free_bytes = None if gpu_layers else hardware.available_bytes()
    if free_bytes is not None and path.stat().st_size > free_bytes:
        notes.append(f"{path.name} is larger than the free memory; it will be slow")
    extra_buffers = proved.extra_buffers and hardware.gains_from_repacking()
    store = _store(path, options, (gpu_layers, extra_buffers))
    model = Model(path, gpu_layers=gpu_layers, extra_buffers=extra_buffers, on_progress=progress)
    try:
        if not model.can_chat:
            raise EngineError(f"{path} is not a chat model: it cannot write text", "name a chat model with --model")
        context = _context(model, options, free_bytes, reads_again=store is not None and model.can_go_back)
    except BaseException:
        model.close()
        raise
    if options.context_length is None and context.context_length < context_length.default_for(model):
        notes.append(f"a window of {context.context_length:,} tokens is all that memory allows")
    return Loaded(model, KvCache(context, can_go_back=model.can_go_back, store=store), tuple(notes))


def _store(path: Path, options: LoadOptions, settings: tuple[int, bool]) -> KvStore | None:
    """Where this model's states are kept, under a fingerprint of all that their bits depend on."""
    if options.kv_store_bytes <= 0:
        return None
    try:
        weights = kv_store.identity(path)  # before loading: a file put in its place later has another identity
    except OSError:
        return None

    def fingerprint() -> bytes:
        try:
            library = probe.fingerprint()
        except OSError:
            return os.urandom(32)  # its files have gone: no entry is for it
        facts = [library, native.library_version(), weights, options.kv_type, settings]
        return hashlib.sha256(json.dumps(facts).encode()).digest()

    return KvStore(paths.kv_folder(), options.kv_store_bytes, fingerprint)


def _proved(progress: Callable[[float], bool]) -> probe.Verdict:
    """The verdict on this library; a new one where a GPU has come or gone since."""
    proved = probe.verdict(keep_on=lambda: progress(0.0))
    if native.supports_gpu() != (proved.gpu is not None):
        probe.forget()
        proved = probe.verdict(keep_on=lambda: progress(0.0))
    return proved


def _context(model: Model, options: LoadOptions, free_bytes: int | None, *, reads_again: bool) -> Context:
    """The largest context of those that were not asked for by number, if memory turns out short; else the one asked."""
    length = context_length.choose(model, options.context_length, options.kv_type, free_bytes)
    on_gpu = free_bytes is None
    while True:
        try:
            return Context(
                model,
                context_length=length,
                batch_size=_GPU_BATCH_TOKENS if on_gpu else context_length.CPU_BATCH_TOKENS,
                threads=options.threads or _threads(model),
                kv_type=options.kv_type,
                # Measured: on a CPU it slows decoding at every depth; a quantised cache cannot do without.
                flash_attention=None if on_gpu or options.kv_type != "f16" else False,
                reads_again=reads_again,
            )
        except EngineError:
            if options.context_length is not None or length <= context_length.MINIMUM_TOKENS:
                raise
            length //= 2


def _threads(model: Model) -> int:
    """One for a tiny model: it gains little from more, and where another program takes a core they wait for seconds."""
    return 1 if model.size_bytes < _ONE_THREAD_BYTES else hardware.physical_cores()
