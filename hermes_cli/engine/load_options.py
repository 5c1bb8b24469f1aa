"""How to open a model, told before any of the engine is imported."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hermes_cli.engine.native_model import KvType

KV_STORE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to open a model; None leaves the choice to what this machine can do.

    `kv_store_bytes` limits what is kept on disk of prompts that took long to read; 0 keeps and uses nothing.
    """

    context_length: int | None = None
    gpu_layers: int | None = None
    kv_type: "KvType" = "f16"
    threads: int | None = None
    template: str = "auto"
    kv_store_bytes: int = KV_STORE_BYTES
