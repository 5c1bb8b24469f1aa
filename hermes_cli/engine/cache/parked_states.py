"""Conversations kept in memory while the context is used for another one, so that none is processed again."""

from collections.abc import Sequence

from hermes_cli.engine import hardware
from hermes_cli.engine.cache.kv_store import START_TOKENS, common_prefix
from hermes_cli.engine.llama.context import Context
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Parked:
    """The tokens of a conversation, and the state of the KV cache that holds them."""

    tokens: list[int]
    state: bytearray


class ParkedStates:
    """The last few conversations, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parked: list[Parked] = []  # the last used one last

    def park(self, tokens: Sequence[int], context: Context) -> None:
        """Copy the state of the context, unless that would take more than a quarter of the free memory."""
        if not self._limit or context.state_bytes() > hardware.available_bytes() // 4:
            return
        self._parked = [one for one in self._parked if common_prefix(one.tokens, tokens) < len(one.tokens)]
        state = context.state()
        if state:
            self._parked.append(Parked(list(tokens), state))
            del self._parked[: -self._limit]

    def take(self, tokens: Sequence[int], shared: int) -> Parked | None:
        """The conversation that shares the most tokens with a prompt, clearly more than `shared`; it is removed."""
        best = max(self._parked, key=lambda one: common_prefix(one.tokens, tokens), default=None)
        if best is None or common_prefix(best.tokens, tokens) < shared + START_TOKENS:
            return None
        self._parked.remove(best)
        return best
