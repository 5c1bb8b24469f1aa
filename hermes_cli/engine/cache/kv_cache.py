"""The tokens in the KV cache: what a prompt can use of them, and what is worth keeping on disk.

The ledger lists them and is the truth. A token that is written alone gets other last bits in the cache than one that
is read in a batch. A prompt builds on either. But only tokens that are settled go to disk: those read in batches after
nothing but others like them, whose bits depend on the tokens alone. So in pauses the answers are read again in batches.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from hermes_cli.engine import hardware
from hermes_cli.engine.cache.kv_store import START_TOKENS, Entry, Kind, KvStore, common_prefix
from hermes_cli.engine.llama.context import Context, DecodeAborted
from hermes_cli.errors import EngineError

# Measured: batches of 8 tokens and more give the same bits whatever their size, smaller ones others.
LEAST_BATCH = 16
_REST_BATCH = 64  # a stop costs at most the reading of so many tokens
WORTH_S = 0.2  # reading time below which nothing is kept
WORTH_IN_PAUSE_S = 2.0
_READ_AT_CLOSE_S = 0.5
KeepOn = Callable[[], bool]


class KvCache:
    """A context with its ledger; used on the engine thread alone."""

    def __init__(self, context: Context, *, can_go_back: bool, store: KvStore | None = None) -> None:
        self.context = context
        self.ledger: list[int] = []
        self._can_go_back = can_go_back
        self._store = store if can_go_back and context.state_is_whole else None
        self._settled = 0  # so many first tokens were all read in batches
        self._stored = 0  # so many first tokens are known to be on disk
        self._read_tokens, self._read_s = 0, 0.0

    def start(self, tokens: Sequence[int], keep_on: KeepOn) -> int:
        """Keep what the cache or the disk shares with a prompt; how many tokens. The others are to be read."""
        if self._store and len(tokens) - self._same(tokens) > START_TOKENS:
            found = self._store.find(tokens, self.context.context_length)
            if found and self._gains(*found, self._same(tokens)):
                self._restore(self._store, found[0], keep_on)
        kept = min(self._same(tokens), len(tokens) - 1)
        if self._can_go_back and kept <= self._settled:
            kept = min(kept, max(0, len(tokens) - LEAST_BATCH))  # what is read stays settled
        kept = self.context.keep(kept)
        self._cut(kept)
        return kept

    def _same(self, tokens: Sequence[int]) -> int:
        return common_prefix(self.ledger, tokens)

    def _cut(self, count: int) -> None:
        del self.ledger[count:]
        self._settled, self._stored = min(self._settled, count), min(self._stored, count)

    def _gains(self, entry: Entry, shared: int, same: int) -> bool:
        return shared - same >= START_TOKENS and (shared - same) / entry.tokens_per_s > entry.restore_s

    def _restore(self, store: KvStore, entry: Entry, keep_on: KeepOn) -> None:
        """Put an entry in place of what the cache holds; if that fails the cache stays as it is, or is empty."""
        state = store.load(entry, keep_on)
        if state is None:
            return
        self._cut(0)
        if not self.context.restore(state, len(entry.tokens)):
            store.forget(entry)
            return
        self.ledger += entry.tokens
        self._settled = self._stored = len(entry.tokens)
        if not self._read_tokens:
            self._read_tokens, self._read_s = len(entry.tokens), len(entry.tokens) / entry.tokens_per_s

    def read(self, tokens: Sequence[int]) -> Iterator[int]:
        """Decode part of a prompt in batches; after each, how many tokens the cache holds. Raises as `decode`."""
        for start, end in batches(len(tokens), self.context.batch_size):
            started = time.perf_counter()
            self._decode(tokens[start:end])
            if end - start >= START_TOKENS:
                self._read_tokens += end - start
                self._read_s += time.perf_counter() - started
            self._settle_to(start=len(self.ledger) - (end - start))
            yield len(self.ledger)

    def write(self, token: int) -> None:
        """Decode one token of an answer. Raises as `decode`."""
        self._decode((token,))

    def _decode(self, tokens: Sequence[int]) -> None:
        """Decode and enter into the ledger; after a stop or a failure the ledger again says what the cache holds."""
        try:
            self.context.decode(tokens)
        except DecodeAborted:
            self.ledger += tokens
            self._cut(self.context.position())
            raise
        except EngineError:
            self._forget()
            raise
        self.ledger += tokens

    def _forget(self) -> None:
        self._cut(0)
        self.context.keep(0)

    def rest(self, keep_on: KeepOn) -> None:
        """Use a pause: read answers again in batches, and keep a conversation that has become long."""
        if not self._store or self._reading_s(len(self.ledger)) <= WORTH_S:
            return
        self._settle(keep_on)
        new = self._settled - self._stored
        # At least twice as long as what is there: so no conversation is written more than twice over.
        if new > self._stored and self._reading_s(new) > WORTH_IN_PAUSE_S and self._settled == len(self.ledger):
            self._save("conversation", keep_on)

    def keep_nothing(self) -> None:
        """Leave the disk alone from now on: something has gone wrong."""
        self._store = None

    def put_away(self, opening: Callable[[], Sequence[int]], keep_on: KeepOn) -> None:
        """Keep what took long to read, at the end; `opening` gives the tokens of a system prompt and what follows."""
        if not self._store or not self._read_tokens:
            return
        if self._reading_s(len(self.ledger)) > WORTH_S:
            last_s = self._reading_s(min(_REST_BATCH, len(self.ledger) - self._settled))
            until = time.monotonic() + _READ_AT_CLOSE_S - last_s
            self._settle(lambda: keep_on() and time.monotonic() < until)
            self._cut(self.context.keep(self._settled))
            self._save("conversation", keep_on)
        shared = min(common_prefix(opening(), self.ledger), self._settled)
        if shared >= START_TOKENS and self._reading_s(shared) > WORTH_S:
            self._cut(self.context.keep(shared))
            self._save("opening", keep_on)

    def _settle(self, keep_on: KeepOn) -> None:
        """Read again in batches what is not settled, each in its place; a stop leaves all that the cache holds."""
        first = min(self._settled, len(self.ledger) - LEAST_BATCH)
        if first < 0 or self._settled == len(self.ledger):
            return
        for start, end in batches(len(self.ledger) - first, _REST_BATCH):
            self.context.allow()
            if not keep_on():
                return
            try:
                if not self.context.read_again(self.ledger[first + start : first + end], first + start):
                    return
            except EngineError:
                self._forget()
                raise
            self._settled = first + end

    def _settle_to(self, start: int) -> None:
        """Count the batch that began at `start` as settled, if it was one and what is before it is."""
        if self._settled >= start and len(self.ledger) - start >= LEAST_BATCH:
            self._settled = len(self.ledger)

    def _reading_s(self, count: int) -> float:
        """How long reading so many tokens takes, as measured; 0 before anything was."""
        return count * self._read_s / self._read_tokens if self._read_tokens else 0.0

    def _save(self, kind: Kind, keep_on: KeepOn) -> None:
        """Write the whole cache to disk if it gains time and is not there yet."""
        store, tokens = self._store, self.ledger
        if store is None:
            return
        if kind == "opening":
            new = 0 if store.has_opening(tokens) else len(tokens)
        else:
            if self._stored < len(tokens) and (found := store.find(tokens, self.context.context_length)):
                self._stored = max(self._stored, found[1])
            new = len(tokens) - self._stored
        state_bytes = self.context.state_bytes()
        if (
            new < START_TOKENS
            or self._reading_s(new) < max(WORTH_S, state_bytes / 5e8)
            or hardware.available_bytes() < 2 * state_bytes
        ):
            return
        state = self.context.state() if keep_on() else None
        if state and store.save(kind, tokens, state, self._read_tokens / self._read_s, keep_on):
            self._stored = len(tokens)


def batches(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut `count` tokens into batches of at most `most`, and of at least LEAST_BATCH unless all are fewer."""
    start = 0
    while start < count:
        end = min(start + most, count)
        if 0 < count - end < LEAST_BATCH:
            end = count - LEAST_BATCH
        yield start, end
        start = end
