"""How long a window this machine can give a model: the KV cache must fit into memory beside the weights."""

from hermes_cli.engine import hardware
from hermes_cli.engine.native_model import KvType, Model
from hermes_cli.errors import EngineError, UsageError

DEFAULT_TOKENS = 8192
CPU_BATCH_TOKENS = 256  # 512 read a prompt 6 % faster (8B shape), but take twice the scratch memory and time per step
_MINIMUM_TOKENS = 512
_SHARE = 0.8
_COMPUTE_BYTES = 300_000_000


def choose(model: Model, wanted: int | None, kv_type: KvType, *, on_gpu: bool) -> int:
    """`wanted` if it is possible, else as much of the default as fits. Raises UsageError, EngineError."""
    trained = model.trained_context_length
    if trained < 1:
        raise EngineError(f"the model's header gives a window of {trained:,} tokens", "download the model again")
    per_token = model.kv_bytes_per_token(kv_type)
    if kv_type == "f16":
        # Without flash attention every token in the window costs a score per head and token of the batch.
        per_token += CPU_BATCH_TOKENS * model.head_count * 4
    fits = trained if on_gpu else _fitting(per_token, model.size_bytes)
    if wanted is None:
        return min(trained, max(_MINIMUM_TOKENS, min(DEFAULT_TOKENS, fits)))
    if wanted > trained:
        raise UsageError(f"--ctx {wanted} is more than this model was trained for", f"use --ctx {trained} or less")
    if wanted > fits:
        raise EngineError(
            f"{wanted:,} tokens need {wanted * per_token / 1e9:.1f} GB beside the model, more than is free here",
            f"use --ctx {max(_MINIMUM_TOKENS, fits // 512 * 512)} or less, or a smaller cache: --kv-type q8_0",
        )
    return wanted


def _fitting(per_token: int, weights_bytes: int) -> int:
    free = hardware.available_bytes() * _SHARE - weights_bytes - _COMPUTE_BYTES
    return max(0, int(free)) // max(per_token, 1)
