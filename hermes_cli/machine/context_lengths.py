"""Which context lengths a model may be opened with."""

from hermes_cli.errors import EngineError, UsageError
from hermes_cli.gguf.header import Header

USUAL_TOKENS = 8192  # the usual context length; GPUs get a longer one where their memory is plentiful
LEAST_TOKENS = 4096  # before the context gets shorter than this, layers leave the GPU
LENGTHS = (16384, USUAL_TOKENS, LEAST_TOKENS, 2048, 1024, 512)


def lengths_to_try(header: Header) -> tuple[int, ...]:
    """Those to try, the longest first."""
    trained = trained_length(header)
    shorter = tuple(length for length in LENGTHS if length < trained)
    return (trained, *shorter) if trained <= LENGTHS[0] else shorter


def trained_length(header: Header) -> int:
    """The length that the model was trained for."""
    trained = header.own("context_length")
    return LEAST_TOKENS if trained is None else trained


def check_length(header: Header, wanted: int | None) -> None:
    """Raise EngineError for an impossible header, UsageError for more than the model was trained for."""
    trained = trained_length(header)
    if not 1 <= trained < 2**31:
        raise EngineError(
            f"the model's header gives a context length of {trained:,} tokens", "download the model again"
        )
    if wanted and wanted > trained:
        raise UsageError(f"--ctx {wanted} is more than this model was trained for", f"use --ctx {trained} or less")
