"""The speed of llama.cpp alone, without sampling, text or anything of this program."""

import time
from collections.abc import Sequence

from hermes_cli.engine.cache.kv_cache import batches
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.model import Model

SAMPLE_TEXT = "It was a bright day, and the harbour was full of ships from 12 countries; no one had counted them.\n"


def sample_tokens(model: Model, count: int) -> list[int]:
    """`count` tokens of ordinary text."""
    tokens = model.tokenize(SAMPLE_TEXT)
    return (tokens * (count // len(tokens) + 1))[:count]


def prompt_speed(context: Context, tokens: Sequence[int]) -> float:
    """Prompt tokens per second, from an empty cache. Raises DecodeAborted, EngineError."""
    context.keep(0)
    return len(tokens) / prompt_seconds(context, tokens)


def prompt_seconds(context: Context, tokens: Sequence[int]) -> float:
    """How long processing `tokens` after what the cache holds takes. Raises as `prompt_speed`."""
    started = time.perf_counter()
    for batch in batches(tokens, context.batch_size):
        context.decode(batch)
    context.check_numbers()  # a GPU is still busy when `decode` returns: wait for its result
    return time.perf_counter() - started


def generation_speed(context: Context, token: int, count: int) -> float:
    """Generated tokens per second, `count` of them after what the cache holds. Raises as `prompt_speed`."""
    context.decode((token,))
    context.check_numbers()
    started = time.perf_counter()
    for _ in range(count):
        context.decode((token,))
        context.check_numbers()
    return count / (time.perf_counter() - started)
