"""How to open a model: the options of the user, and the complete settings of a load plan."""

from pathlib import Path

from hermes_cli.kv_types import KvType
from hermes_cli.values import dataclass

KV_STORE_BYTES = 2 << 30
ALL_LAYERS = -1
CPU_BATCH_TOKENS = 256  # 512 processes a prompt a little faster, but takes twice the scratch memory and time per step
GPU_BATCH_TOKENS = 512
DRAFT_ROWS = 16  # tokens of a batch that checks a draft, with the one before it
SELECTED_TOKENS = 128  # by a GPU, for the CPU to choose from
NO_ADAPTER = "none"  # what stands for the model without adapters


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: its file, and by what its effect is multiplied."""

    path: Path
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.path}:{self.scale:g}"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of the user; None leaves the choice to the plan (machine/load_plan.py).

    `gpu_layers` counts the output as one layer; -1 is all of them. `kv_store_bytes` limits the prompt caches saved to
    disk; 0 saves and uses none. `template` is auto, chatml, embedded or the path of a Jinja file. `context_origin`
    names the file or variable that sets the context length for every model: then it is only an upper limit.
    With `speculate`, several tokens are checked at once where a gain is expected.
    """

    context_length: int | None = None
    gpu_layers: int | None = None
    kv_type: KvType | None = None
    threads: int | None = None
    template: str = "auto"
    kv_store_bytes: int = KV_STORE_BYTES
    context_origin: str | None = None
    speculate: bool = False
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything decided; the defaults work on any machine.

    `adapts_threads`: use fewer than `threads` while other programs take the cores.
    `flash_attention` None is llama.cpp's choice (a quantised cache cannot do without it); `extra_buffers` repacks the
    weights; `gpus` names the devices, None is all of them. What took less than `least_saved_s` to process is not saved
    to disk, nor is anything if the last answer was stopped within `stop_s` before closing. `memory_bytes` is the
    plan's estimate. With `device_sampling` the device that computes the logits selects the likeliest tokens. Prompts
    can have log probabilities in batches of `scored_tokens`; up to `parked_states` other conversations stay in memory.
    With `speculates`, drafts of up to `scored_tokens` - 1 tokens are checked in one batch.
    """

    context_length: int = 4096
    gpu_layers: int = 0
    kv_type: KvType = "f16"
    threads: int = 1
    adapts_threads: bool = False
    batch_tokens: int = CPU_BATCH_TOKENS
    flash_attention: bool | None = False
    extra_buffers: bool = False
    gpus: tuple[str, ...] | None = None
    template: str = "auto"
    kv_store_bytes: int = KV_STORE_BYTES
    least_saved_s: float = 0.2
    stop_s: float = 1.0
    memory_bytes: int | None = None
    device_sampling: bool = False
    scored_tokens: int = 1
    parked_states: int = 0
    speculates: bool = False
    adapters: tuple[Adapter, ...] = ()
