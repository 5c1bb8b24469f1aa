"""How much memory a model takes, estimated from its header: weights, KV cache, compute buffers.

The buffers follow what llama.cpp reserves for graphs of the llama family (measured: docs/models.md): for one batch, the
larger of what attention and what the feed-forward network need at once. Without flash attention the CPU also converts
all scores of a batch to 16-bit numbers, in a separate buffer.
"""

from hermes_cli.engine.load_options import ALL_LAYERS, LoadSettings
from hermes_cli.gguf.header import Header
from hermes_cli.kv_types import BLOCK_BYTES, UNQUANTISED, KvType
from hermes_cli.values import dataclass

GPU_SPARE_BYTES = 500_000_000  # kept free on each GPU for later allocations of its driver and kernels
_USABLE_SHARE = 0.8  # share of the machine's memory; the rest is for other programs and errors of the estimate
_FLOAT_BYTES, _HALF_BYTES = 4, 2
_TABLE_ENTRY_BYTES = 133  # a token or a merge in llama.cpp's vocabulary tables, measured with Llama 3's
PROGRAM_BYTES = 42_000_000  # Python, this program and the libraries
# What CUDA's libraries take of the machine's own memory: for one GPU, for each further one, with layers on the CPU.
_GPU_PROGRAM_BYTES, _FURTHER_GPU_BYTES, _GPU_SHARED_BYTES = 340_000_000, 150_000_000, 310_000_000


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The parts of a model's memory in bytes, for one context length, KV cache type and number of layers on GPUs."""

    context_length: int
    kv_type: KvType
    flash_attention: bool
    gpu_layers: int  # the output counts as one
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int  # what llama.cpp logs as its compute buffers
    work_bytes: int  # what its CPU threads share in addition, which it does not log
    other_bytes: int  # vocabulary tables and the program itself
    gpu_bytes: int  # how much of all this is in the memory of GPUs
    mapped_bytes: int  # weights that are only mapped from the file, which can be more than memory holds

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.work_bytes + self.other_bytes

    @property
    def host_bytes(self) -> int:
        """How much is in the machine's own memory."""
        return self.total_bytes - self.gpu_bytes


def fits(needed_bytes: int, memory_bytes: int) -> bool:
    """Whether that much of the machine's own memory may be used."""
    return needed_bytes <= memory_bytes * _USABLE_SHARE


def estimate(header: Header, settings: LoadSettings, gpu_count: int = 1) -> MemoryPlan:
    """The memory of a model with this header and these settings; its last `gpu_layers` are on `gpu_count` GPUs."""
    kv_type, layers = settings.kv_type, layer_count(header)
    offloaded = layers if settings.gpu_layers == ALL_LAYERS else min(settings.gpu_layers, layers)
    # llama.cpp's own choice: on GPUs, and where a quantised cache needs it.
    auto = kv_type not in UNQUANTISED or offloaded > 0
    flash = auto if settings.flash_attention is None else settings.flash_attention
    cells = -(-settings.context_length // 256) * 256
    batch = min(settings.batch_tokens, cells)
    kv_bytes = cells * kv_bytes_per_token(header, kv_type)
    compute = _compute_bytes(header, cells, batch, flash) + _logits_bytes(header) * settings.scored_tokens
    weights, gpu_weights = header.weights_bytes, _last_layers_bytes(header, offloaded)
    if offloaded and "output" not in header.group_bytes:
        weights += header.group_bytes.get("token_embd", 0)  # the GPU gets a copy of what the input needs too
    gpu_kv = kv_bytes * max(offloaded - 1, 0) // max(layers - 1, 1)
    host_compute = compute if offloaded < layers else _input_bytes(header, cells, batch)
    other = PROGRAM_BYTES + _TABLE_ENTRY_BYTES * _table_entries(header)
    if offloaded:
        other += _GPU_PROGRAM_BYTES + (gpu_count - 1) * _FURTHER_GPU_BYTES
        other += _GPU_SHARED_BYTES if offloaded < layers else 0
    gpu_compute = compute * gpu_count if offloaded else 0
    scores = cells * batch * (header.own("attention.head_count") or 0) * _HALF_BYTES
    return MemoryPlan(
        context_length=settings.context_length,
        kv_type=kv_type,
        flash_attention=flash,
        gpu_layers=offloaded,
        weights_bytes=weights,
        kv_bytes=kv_bytes,
        compute_bytes=host_compute + gpu_compute,
        work_bytes=0 if flash or offloaded == layers else scores,
        other_bytes=other,
        gpu_bytes=gpu_weights + gpu_kv + gpu_compute,
        mapped_bytes=weights - gpu_weights,
    )


def layer_count(header: Header) -> int:
    """The number of layers that can be on a GPU; the output counts as one."""
    return (header.own("block_count") or 0) + 1


def kv_bytes_per_token(header: Header, kv_type: KvType) -> int:
    """The KV cache of one token, all layers together; 0 if the header does not say."""
    layers = header.own("block_count") or 0
    heads = header.own("attention.head_count") or 0
    embedding = header.own("embedding_length") or 0
    head_size = embedding // heads if heads else 0
    key = header.own("attention.key_length") or head_size
    value = header.own("attention.value_length") or head_size
    numbers = layers * (header.own("attention.head_count_kv") or heads) * (key + value)
    return numbers * BLOCK_BYTES[kv_type] // 32


def _last_layers_bytes(header: Header, count: int) -> int:
    """The weights that go to GPUs: llama.cpp takes the output first, then the last layers."""
    if not count:
        return 0
    groups, first = header.group_bytes, layer_count(header) - count
    numbers = ((group.removeprefix("blk."), size) for group, size in groups.items() if group.startswith("blk."))
    last = sum(size for number, size in numbers if number.isdecimal() and int(number) >= first)
    return last + groups.get("output", groups.get("token_embd", 0))


def _compute_bytes(header: Header, cells: int, batch: int, flash: bool) -> int:
    """The scratch memory of one batch."""
    heads = header.own("attention.head_count") or 0
    embedding = header.own("embedding_length") or 0
    head_size = header.own("attention.key_length") or (embedding // heads if heads else 0)
    kv_width = (header.own("attention.head_count_kv") or heads) * head_size
    feed_forward = header.own("feed_forward_length") or 0
    per_token = 3.5 * embedding + 3 * feed_forward
    if flash:
        mask = cells * _HALF_BYTES * batch
    else:
        mask = cells * _FLOAT_BYTES * batch
        per_token = max(per_token, cells * heads + 5 * embedding + 2 * kv_width)
    return int(per_token * _FLOAT_BYTES) * batch + mask


def _input_bytes(header: Header, cells: int, batch: int) -> int:
    """What the CPU prepares of a batch that GPUs compute: embeddings and the mask."""
    return batch * (cells * _HALF_BYTES + (header.own("embedding_length") or 0) * _FLOAT_BYTES)


def _logits_bytes(header: Header) -> int:
    return (header.own("vocab_size") or header.count("tokenizer.ggml.tokens")) * _FLOAT_BYTES


def _table_entries(header: Header) -> int:
    return header.count("tokenizer.ggml.tokens") + header.count("tokenizer.ggml.merges")
