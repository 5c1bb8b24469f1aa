"""What memory a model takes, by arithmetic on its header: weights, KV cache, the buffers to compute in.

The buffers follow what llama.cpp reserves for graphs of the llama family (measured: docs/models.md): for one batch, the
larger of what attention and what the feed-forward network hold at once. Without flash attention the CPU also turns all
scores of a batch into 16-bit numbers, in a buffer of its own.
"""

from dataclasses import dataclass

from hermes_cli.engine.context_length import CPU_BATCH_TOKENS
from hermes_cli.engine.native_model import KvType
from hermes_cli.models.gguf_header import Header

_FLOAT_BYTES, _HALF_BYTES = 4, 2
_TABLE_ENTRY_BYTES = 133  # a token or a merge in llama.cpp's vocabulary tables, measured with Llama 3's
_PROGRAM_BYTES = 42_000_000  # Python, this program and the libraries


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The parts of a model's memory in bytes, for one window and type of cache."""

    context_length: int
    kv_type: KvType
    flash_attention: bool
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int  # what llama.cpp logs as its compute buffer
    work_bytes: int  # what its CPU threads share beside that, which it does not log
    other_bytes: int  # vocabulary tables and the program itself

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.work_bytes + self.other_bytes


def plan(
    header: Header,
    context_length: int,
    kv_type: KvType = "f16",
    *,
    flash_attention: bool | None = None,
    batch_tokens: int = CPU_BATCH_TOKENS,
    weights_bytes: int | None = None,
) -> MemoryPlan:
    """The memory for a window of `context_length` tokens.

    `flash_attention` None is what the engine does on a CPU: only for a quantised cache. `weights_bytes` replaces the
    header's own where a model has several files.
    """
    flash = kv_type != "f16" if flash_attention is None else flash_attention
    cells = -(-context_length // 256) * 256
    return MemoryPlan(
        context_length,
        kv_type,
        flash,
        header.weights_bytes if weights_bytes is None else weights_bytes,
        cells * kv_bytes_per_token(header, kv_type),
        _compute_bytes(header, cells, min(batch_tokens, cells), flash),
        0 if flash else cells * min(batch_tokens, cells) * (header.own("attention.head_count") or 0) * _HALF_BYTES,
        _PROGRAM_BYTES + _TABLE_ENTRY_BYTES * _table_entries(header),
    )


def kv_bytes_per_token(header: Header, kv_type: KvType) -> int:
    """What one token takes in the KV cache, all layers together; 0 where the header does not say."""
    layers = header.own("block_count") or 0
    heads = header.own("attention.head_count") or 0
    embedding = header.own("embedding_length") or 0
    head_size = embedding // heads if heads else 0
    key = header.own("attention.key_length") or head_size
    value = header.own("attention.value_length") or head_size
    numbers = layers * (header.own("attention.head_count_kv") or heads) * (key + value)
    return numbers * _HALF_BYTES if kv_type == "f16" else numbers * 34 // 32


def _compute_bytes(header: Header, cells: int, batch: int, flash: bool) -> int:
    """The scratch memory of one batch; a row of each is held for every token in it."""
    heads = header.own("attention.head_count") or 0
    embedding = header.own("embedding_length") or 0
    head_size = header.own("attention.key_length") or (embedding // heads if heads else 0)
    kv_width = (header.own("attention.head_count_kv") or heads) * head_size
    feed_forward = header.own("feed_forward_length") or 0
    per_token = 3.5 * embedding + 3 * feed_forward
    if flash:
        scores = 0
        mask = cells * _HALF_BYTES * batch
    else:
        scores = cells * heads
        mask = cells * _FLOAT_BYTES * batch
        per_token = max(per_token, scores + 5 * embedding + 2 * kv_width)
    return int(per_token * _FLOAT_BYTES) * batch + mask + _logits_bytes(header)


def _logits_bytes(header: Header) -> int:
    return (header.own("vocab_size") or header.count("tokenizer.ggml.tokens")) * _FLOAT_BYTES


def _table_entries(header: Header) -> int:
    return header.count("tokenizer.ggml.tokens") + header.count("tokenizer.ggml.merges")
