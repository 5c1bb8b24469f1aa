"""The settings that were measured to run a model fastest here, kept for its file, this library and this CPU."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.engine.fingerprint import fingerprint
from hermes_cli.engine.llama.model import KvType
from hermes_cli.errors import EngineError

_LARGEST_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tuned:
    """The fastest settings of a model, and its tokens a second without and with them; None is the engine's choice."""

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
    """What was measured for this file, if that was with this library on this machine."""
    if not paths.tuning_file().is_file():
        return None
    return _tuned(_read().get(_key(model, on_gpu)))


def all_remembered() -> list[Tuned]:
    """Everything that was measured, also with other libraries."""
    return [found for found in map(_tuned, _read().values()) if found]


def remember(model: Path, tuned: Tuned, *, on_gpu: bool) -> None:
    """Keep what was measured; a later load of this file uses it. Nothing happens where nothing can be written."""
    _write(_read() | {_key(model, on_gpu): asdict(tuned)})


def forget(model: Path) -> bool:
    """Drop what was measured for this file; whether there was anything."""
    kept = _read()
    gone = [kept.pop(_key(model, on_gpu), None) for on_gpu in (False, True)]
    _write(kept)
    return any(gone)


def _key(model: Path, on_gpu: bool) -> str:
    """Names this file, as it is now, with this library on this CPU."""
    try:
        found = model.stat()
        facts = [os.path.realpath(model), found.st_size, found.st_mtime_ns, on_gpu, fingerprint()]
    except (OSError, EngineError):
        return ""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _tuned(value: Any) -> Tuned | None:
    """What `remember` kept; None for anything else, as the file may have been changed by hand."""
    match value:
        case {
            "model": str(),
            "threads": int(threads),
            "kv_type": "f16" | "q8_0",
            "batch_tokens": int(batch_tokens),
            "flash_attention": bool() | None,
            "extra_buffers": bool(),
            "read_before": float(),
            "write_before": float(),
            "read": float(),
            "write": float(),
            "measured": str(),
            **rest,
        } if not rest and 1 <= threads <= 512 and 32 <= batch_tokens <= 4096:
            return Tuned(**value)
    return None


def _read() -> dict[str, Any]:
    try:
        with paths.tuning_file().open("rb") as file:
            kept = json.loads(file.read(_LARGEST_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(kept: dict[str, Any]) -> None:
    file = paths.tuning_file()
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps(kept, indent=1))
        temporary.replace(file)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
