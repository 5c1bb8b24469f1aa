"""The settings that run a model fastest here, as measured; saved per model file, library build and CPU."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from hermes_cli import files, paths
from hermes_cli.engine.llama.fingerprint import fingerprint
from hermes_cli.errors import EngineError
from hermes_cli.kv_types import KvType
from hermes_cli.values import dataclass

MOST_THREADS = 512


@dataclass(frozen=True, slots=True)
class Tuned:
    """The fastest settings of a model; tokens per second before and with them in prompts (read), generation (write)."""

    model: str
    threads: int
    kv_type: KvType
    batch_tokens: int
    flash_attention: bool | None
    extra_buffers: bool
    read_before: float
    write_before: float
    read: float
    write: float
    measured: str  # the day, as in 2026-11-28


def remembered(model: Path, *, on_gpu: bool) -> Tuned | None:
    """What was measured for this file with this library on this machine, if anything."""
    if not os.path.isfile(paths.tuning_file()):  # noqa: PTH113 - no errors
        return None
    return _read().get(_key(model, on_gpu))


def all_remembered() -> list[Tuned]:
    """All that was measured, also with other libraries."""
    return list(_read().values())


def remember(model: Path, tuned: Tuned, *, on_gpu: bool) -> None:
    """Save what was measured, for later loads of this file; does nothing if the file cannot be written."""
    _write(_read() | {_key(model, on_gpu): tuned})


def forget(model: Path) -> bool:
    """Forget what was measured for this file; returns whether there was anything."""
    kept = _read()
    gone = [kept.pop(_key(model, on_gpu), None) for on_gpu in (False, True)]
    _write(kept)
    return any(gone)


def _key(model: Path, on_gpu: bool) -> str:
    """A name for this file in its present state, with this library on this CPU."""
    try:
        found = model.stat()
        facts = [os.path.realpath(model), found.st_size, found.st_mtime_ns, on_gpu, fingerprint()]
    except (OSError, EngineError):
        return ""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _read() -> dict[str, Tuned]:
    """What `_write` saved, as far as the engine can use it: the file may have been changed by hand."""
    saved = files.read_records(paths.tuning_file(), Tuned)
    return {
        key: one for key, one in saved.items() if 1 <= one.threads <= MOST_THREADS and 32 <= one.batch_tokens <= 4096
    }


def _write(tuned: dict[str, Tuned]) -> None:
    with suppress(OSError):
        files.write_json(paths.tuning_file(), tuned)
