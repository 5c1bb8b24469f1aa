"""How to open a model, told before any of the engine is imported."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hermes_cli.engine.llama.model import KvType

KV_STORE_BYTES = 2 << 30


CPU_BATCH_TOKENS = 256  # 512 reads a prompt a little faster, but takes twice the scratch memory and time per step
GPU_BATCH_TOKENS = 512
COMFORT_TOKENS = 8192  # the usual window; GPUs get a longer one where their memory is plentiful
GPU_SPARE_BYTES = 500_000_000  # of each: for what its driver and kernels allocate later


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to open a model. None leaves the choice to a plan; where there is none, to what works on any machine.

    `gpu_layers` counts the output as one, -1 is all of them; `gpus` names the devices, None is all there are.
    `kv_store_bytes` limits the prompt caches saved to disk; 0 saves and uses none. Saved is what took at least
    `least_saved_s` to process, unless the last answer was stopped less than `stop_s` before closing.
    `memory_bytes` is what a plan estimates that all of it takes.
    """

    context_length: int | None = None
    gpu_layers: int | None = None
    kv_type: "KvType | None" = None
    threads: int | None = None
    template: str = "auto"
    kv_store_bytes: int = KV_STORE_BYTES
    least_saved_s: float = 0.2
    stop_s: float = 1.0
    batch_tokens: int | None = None
    flash_attention: bool | None = None
    extra_buffers: bool = False
    gpus: tuple[str, ...] | None = None
    memory_bytes: int | None = None
    scored_tokens: int = 1
    parked_states: int = 0
