"""How fast a context reads and writes: llama.cpp alone, without sampling, text or anything of ours."""

import time
from collections.abc import Sequence

from hermes_cli.engine.cache.kv_cache import batches
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.model import Model

SAMPLE_TEXT = "It was a bright day, and the harbour was full of ships from 12 countries; nobody had counted them.\n"


def sample_tokens(model: Model, count: int) -> list[int]:
    """So many tokens of ordinary text."""
    tokens = model.tokenize(SAMPLE_TEXT)
    return (tokens * (count // len(tokens) + 1))[:count]


def read_speed(context: Context, tokens: Sequence[int]) -> float:
    """Tokens a second of reading `tokens` as a prompt into an empty cache. Raises DecodeAborted, EngineError."""
    context.keep(0)
    return len(tokens) / read_seconds(context, tokens)


def read_seconds(context: Context, tokens: Sequence[int]) -> float:
    """The seconds of reading `tokens` after what the cache holds. Raises as `read_speed`."""
    started = time.perf_counter()
    for batch in batches(tokens, context.batch_size):
        context.decode(batch)
    context.check_numbers()  # a GPU works on when `decode` returns: wait for its last number
    return time.perf_counter() - started


def write_speed(context: Context, token: int, count: int) -> float:
    """Tokens a second of decoding `count` tokens one by one after what the cache holds. Raises as `read_speed`."""
    context.decode((token,))
    context.check_numbers()
    started = time.perf_counter()
    for _ in range(count):
        context.decode((token,))
        context.check_numbers()
    return count / (time.perf_counter() - started)
