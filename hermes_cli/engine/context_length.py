"""How long a window this machine can give a model: the KV cache must fit into memory beside the weights."""

from hermes_cli.engine.native_model import KvType, Model
from hermes_cli.errors import EngineError, UsageError

DEFAULT_TOKENS = 8192
MINIMUM_TOKENS = 512
CPU_BATCH_TOKENS = 256  # 512 reads a prompt a little faster, but takes twice the scratch memory and time per step
_SHARE = 0.8
_COMPUTE_BYTES = 300_000_000


def default_for(model: Model) -> int:
    """The window a model gets where memory is no question."""
    return min(model.trained_context_length, DEFAULT_TOKENS)


def choose(model: Model, wanted: int | None, kv_type: KvType, free_bytes: int | None) -> int:
    """`wanted` if it is possible, else as much of the default as fits. Raises UsageError, EngineError.

    `free_bytes` is what was free before the model was loaded; None where its memory is not the machine's, as on a GPU.
    """
    trained = model.trained_context_length
    if trained < 1:
        raise EngineError(f"the model's header gives a window of {trained:,} tokens", "download the model again")
    per_token = model.kv_bytes_per_token(kv_type)
    if kv_type == "f16":
        # Without flash attention every token in the window costs a score per head and token of the batch.
        per_token += CPU_BATCH_TOKENS * model.head_count * 4
    fits = trained if free_bytes is None else _fitting(free_bytes, model.size_bytes, per_token)
    if wanted is None:
        return min(trained, max(MINIMUM_TOKENS, min(DEFAULT_TOKENS, fits)))
    if wanted > trained:
        raise UsageError(f"--ctx {wanted} is more than this model was trained for", f"use --ctx {trained} or less")
    if wanted > fits:
        smaller = "close other programs or take a smaller model"
        raise EngineError(
            f"{wanted:,} tokens need {wanted * per_token / 1e9:.1f} GB beside the model, more than is free here",
            f"use --ctx {fits // 256 * 256} or less, or --kv-type q8_0" if fits >= MINIMUM_TOKENS else smaller,
        )
    return wanted


def _fitting(free_bytes: int, weights_bytes: int, per_token: int) -> int:
    return max(0, int(free_bytes * _SHARE) - weights_bytes - _COMPUTE_BYTES) // max(per_token, 1)
