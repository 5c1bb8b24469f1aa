"""Log probabilities of tokens, from the logits of a context."""

from collections.abc import Callable, Sequence
from typing import Any

from hermes_cli.chat.events import TokenLogprob
from hermes_cli.engine.cache.kv_cache import KvCache
from hermes_cli.engine.llama.context import Context, DecodeAborted
from hermes_cli.engine.llama.model import Model


def logprob_of_last(context: Context, model: Model, token: int, top: int) -> TokenLogprob:
    """The log probability of `token` after what was decoded last, and the `top` likeliest tokens."""
    return _logprob(_log_softmax(context.all_logits()), model, token, top)


def score(
    cache: KvCache, model: Model, tokens: Sequence[int], top: int, may_continue: Callable[[], bool]
) -> list[TokenLogprob | None]:
    """The log probability of every token of a prompt after those before it; None for the first.

    Afterwards the cache holds the prompt. Raises DecodeAborted if `may_continue` says no.
    """
    cache.context.select_candidates(0)
    cache.clear()
    scored: list[TokenLogprob | None] = [None]
    size = min(cache.context.scored_tokens, cache.context.batch_size)
    for start in range(0, len(tokens), size):
        if not may_continue():
            raise DecodeAborted
        batch = tokens[start : start + size]
        cache.write_scored(batch)
        following = tokens[start + 1 : start + 1 + len(batch)]
        for row, token in enumerate(following):
            scored.append(_logprob(_log_softmax(cache.context.all_logits(row)), model, token, top))
    return scored


def _log_softmax(logits: "memoryview[float]") -> Any:
    import numpy as np

    values = np.asarray(logits, dtype=np.float64)
    highest = values.max()
    return values - (highest + np.log(np.exp(values - highest).sum()))


def _logprob(logprobs: Any, model: Model, token: int, top: int) -> TokenLogprob:
    import numpy as np

    def one(index: int) -> TokenLogprob:
        return TokenLogprob(index, model.piece(index), float(logprobs[index]))

    best: list[int] = []
    if top:
        some = np.argpartition(logprobs, -top)[-top:]
        best = [int(index) for index in some[np.lexsort((some, -logprobs[some]))]]
    return TokenLogprob(token, model.piece(token), float(logprobs[token]), tuple(map(one, best)))
