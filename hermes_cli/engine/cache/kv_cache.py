"""The tokens in the KV cache: reuse of a common prefix, and saving to disk on closing.

The ledger lists them. A generated token can have different last bits in the cache than one
that was processed in a batch; a prompt can follow either. Reasons: docs/engine.md.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from hermes_cli.engine import hardware
from hermes_cli.engine.cache.kv_store import START_TOKENS, Entry, Kind, KvStore, common_prefix
from hermes_cli.engine.cache.parked_states import ParkedStates
from hermes_cli.engine.llama.context import Context, DecodeAborted
from hermes_cli.errors import EngineError

_DISK_BYTES_PER_S = 5e8  # a cautious guess
MayContinue = Callable[[], bool]


class KvCache:
    """A context with its ledger; used on the engine thread only."""

    def __init__(
        self,
        context: Context,
        *,
        can_go_back: bool,
        store: KvStore | None = None,
        least_saved_s: float = 0.0,
        parked_states: int = 0,
    ) -> None:
        """`store` gets only prompts that took at least `least_saved_s` to process.

        Up to `parked_states` conversations stay in memory while another one is answered.
        """
        self.context = context
        self.ledger: list[int] = []
        self._can_go_back = can_go_back
        self.can_rewind = can_go_back and context.state_is_whole  # to any earlier length
        self._store = store if self.can_rewind else None
        self._least_saved_s = least_saved_s
        self._parking = ParkedStates(parked_states if self.can_rewind else 0)
        self._stored = 0  # this many first tokens are known to be on disk
        self._read_tokens, self._read_s = 0, 0.0

    def start(self, tokens: Sequence[int], may_continue: MayContinue) -> int:
        """Keep or restore the longest cached prefix of a prompt, and return its length; the rest must be decoded."""
        self._swap(tokens)
        if self._store and len(tokens) - self._shared(tokens) > START_TOKENS:
            found = self._store.find(tokens, self.context.context_length)
            if found and self._gains(*found, self._shared(tokens)):
                self._restore(self._store, found[0], may_continue)
        # At least the last token is decoded, because sampling needs its logits.
        count = self.context.keep(min(self._shared(tokens), len(tokens) - 1))
        self._cut(count)
        return count

    def _swap(self, tokens: Sequence[int]) -> None:
        """If the prompt is from another conversation, park the current one, and restore the other if it is parked."""
        shared = self._shared(tokens)
        lost = len(self.ledger) - shared
        if lost >= START_TOKENS and shared < lost:
            self._parking.park(self.ledger, self.context)
        found = self._parking.take(tokens, shared)
        if found:
            self._cut(0)
            if self.context.restore(found.state, len(found.tokens)):
                self.ledger += found.tokens

    def clear(self) -> None:
        """Empty the cache; parked states are kept."""
        self._swap(())
        self.context.keep(0)
        self._cut(0)

    def write_scored(self, tokens: Sequence[int]) -> None:
        """Decode part of a prompt with logits for every token. Raises as `decode`."""
        self._decode(tokens, scored=True)

    def _shared(self, tokens: Sequence[int]) -> int:
        return common_prefix(self.ledger, tokens)

    def _cut(self, count: int) -> None:
        del self.ledger[count:]
        self._stored = min(self._stored, count)

    def _gains(self, entry: Entry, stored: int, cached: int) -> bool:
        return stored - cached >= START_TOKENS and (stored - cached) / entry.tokens_per_s > entry.restore_s

    def _restore(self, store: KvStore, entry: Entry, may_continue: MayContinue) -> None:
        """Replace the content of the cache with an entry; if that fails, the cache is unchanged or empty."""
        state = store.load(entry, may_continue)
        if state is None:
            return
        self._cut(0)
        if not self.context.restore(state, len(entry.tokens)):
            store.forget(entry)
            return
        self.ledger += entry.tokens
        self._stored = len(entry.tokens)
        if not self._read_tokens:
            self._read_tokens, self._read_s = len(entry.tokens), len(entry.tokens) / entry.tokens_per_s

    def read(self, tokens: Sequence[int]) -> Iterator[int]:
        """Decode part of a prompt in batches; yield the number of cached tokens after each. Raises as `decode`."""
        for batch in batches(tokens, self.context.batch_size):
            started = time.perf_counter()
            self._decode(batch)
            if len(batch) >= START_TOKENS:
                self._read_tokens += len(batch)
                self._read_s += time.perf_counter() - started
            yield len(self.ledger)

    def write(self, token: int, draft: Sequence[int] = ()) -> None:
        """Decode a token of an answer and a draft of the next ones, with logits for each. Raises as `decode`."""
        self._decode((token, *draft), scored=bool(draft))

    def take_back(self, count: int) -> None:
        """Remove the last `count` tokens."""
        self._cut(self.context.keep(len(self.ledger) - count))

    def _decode(self, tokens: Sequence[int], *, scored: bool = False) -> None:
        """Decode and add to the ledger; after a stop or a failure the ledger is set to the tokens in the cache."""
        try:
            self.context.decode_scored(tokens) if scored else self.context.decode(tokens)
        except DecodeAborted:
            self.ledger += tokens
            # The state of a recurrent model is a half-processed one then, although its position says otherwise.
            self._cut(self.context.position() if self._can_go_back else self.context.keep(0))
            raise
        except EngineError:
            self._cut(0)
            self.context.keep(0)
            raise
        self.ledger += tokens

    def disable_saving(self) -> None:
        """Stop saving to disk, after a failure of the engine."""
        self._store = None

    def save(self, opening: Callable[[], Sequence[int]], may_continue: MayContinue) -> None:
        """Save prompts to disk that took long to process; the cache may be shorter afterwards.

        `opening` returns the tokens that every conversation with the same system prompt begins with.
        """
        if not self._store or self._reading_s(len(self.ledger)) <= self._least_saved_s:
            return
        self._save(self._store, "conversation", may_continue)
        shared = self._shared(opening())
        if shared >= START_TOKENS and self._reading_s(shared) > self._least_saved_s:
            self._cut(self.context.keep(shared))
            self._save(self._store, "opening", may_continue)

    def _reading_s(self, count: int) -> float:
        """The measured time to process `count` prompt tokens; 0 before any measurement."""
        return count * self._read_s / self._read_tokens if self._read_tokens else 0.0

    def _save(self, store: KvStore, kind: Kind, may_continue: MayContinue) -> None:
        """Write the whole cache to disk, unless that gains no time or it is there already."""
        tokens, state_bytes = self.ledger, self.context.state_bytes()
        new = self._unsaved(store, kind)
        if (
            new < START_TOKENS
            or self._reading_s(new) < max(self._least_saved_s, state_bytes / _DISK_BYTES_PER_S)
            or hardware.available_bytes() < 2 * state_bytes
        ):
            return
        state = self.context.state() if may_continue() else None
        if state and store.save(kind, tokens, state, self._read_tokens / self._read_s, may_continue):
            self._stored = len(tokens)

    def _unsaved(self, store: KvStore, kind: Kind) -> int:
        """How many tokens of the ledger no entry of this kind holds."""
        tokens = self.ledger
        if kind == "opening":
            return 0 if store.has_opening(tokens) else len(tokens)
        if self._stored < len(tokens) and (found := store.find(tokens, self.context.context_length)):
            self._stored = max(self._stored, found[1])
        return len(tokens) - self._stored


def batches(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The tokens in slices of at most `size`."""
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]
