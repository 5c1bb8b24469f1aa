"""Check several tokens in one batch: those that followed the same tokens earlier, in the prompt or in the answer.

Each token is sampled from its own logits by the usual chain, in order, as without a draft. Only
while it equals the drafted token, the next logits, which are already computed, are used. Details: docs/engine.md.
"""

import math
import time
from collections.abc import Mapping, Sequence

from hermes_cli.engine.cache.kv_cache import KvCache
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.load_options import DRAFT_ROWS

_MATCHED = 3  # this many equal tokens are needed before a draft
_COMPARED, _MOST_AGREEMENT = 8, 32  # the latest places, of which the one that agrees with the most tokens is followed
_LENGTHS = (1, 3, 7, DRAFT_ROWS - 1)
# How often a prediction is right after 0, 1, 2 or 3, 4 to 7, and more right ones: before any was counted.
_FIRST_RIGHT = (0.5, 0.7, 0.8, 0.9, 0.95)
# In units of the time of one token: what every token without a draft adds to the credit, its first and highest value.
_CREDIT_PER_TOKEN, _FIRST_CREDIT, _MOST_CREDIT = 0.005, 1.5, 4.0
_WEIGHT, _WEIGHT_OF_RIGHT = 0.2, 0.1  # weight of a new measurement
_MOST_DEBT, _PROMISING = 5.0, 1.4  # a draft that promises this speed may cost what the credit lacks
_GUESSED_COST = 0.25  # of a drafted token, before it was measured
_SETTLING = 2  # tokens after a draft that may take longer: graphs are built again, for a GPU twice
_SLOWEST = 4.0  # times the usual time: beyond that, another program had the cores


class Lookup:
    """Finds the tokens that followed an earlier occurrence of the last tokens."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """`tokens` are those of the prompt."""
        self._tokens = list(tokens)
        self._places: dict[tuple[int, ...], list[int]] = {}  # what stands before a place, and all such places
        for place in range(_MATCHED, len(tokens)):
            self._remember(place)
        self._next = self._found()  # where the draft continues while it is right

    def _remember(self, place: int) -> None:
        self._places.setdefault(tuple(self._tokens[place - _MATCHED : place]), []).append(place)

    def add(self, token: int) -> bool | None:
        """The next token of the answer; whether it was predicted, None if nothing was."""
        tokens, at = self._tokens, self._next
        right = None if at is None else tokens[at] == token
        if len(tokens) >= _MATCHED:
            self._remember(len(tokens))
        tokens.append(token)
        self._next = at + 1 if at is not None and right else self._found()
        return right

    def _found(self) -> int | None:
        """Where the last tokens occurred before."""
        places = self._places.get(tuple(self._tokens[-_MATCHED:]), ())
        return max(reversed(places[-_COMPARED:]), key=self._agreement, default=None)

    def draft(self, most: int) -> list[int]:
        """At most `most` tokens predicted to follow; none if the last tokens did not occur before."""
        if self._next is None:
            return []
        known = min(most, len(self._tokens) - self._next)
        length = max((length for length in _LENGTHS if length <= known), default=0)
        return self._tokens[self._next : self._next + length]

    def _agreement(self, place: int) -> int:
        """How many tokens before `place` are those before the next token."""
        tokens, count = self._tokens, _MATCHED
        while count < min(place, _MOST_AGREEMENT) and tokens[place - count - 1] == tokens[-count - 1]:
            count += 1
        return count


class DraftRule:
    """Decides how long a draft may be: as long as gains most, none while drafts cost more time than they save.

    All times are in units of what one token takes without a draft. Drafts are paid from a credit, which grows with the
    time that they save, and a little with every token, so that they are tried, and tried again. A draft is made only if
    the credit covers its cost: also the first one, whose cost is guessed unless `costs` has it. Predictions are also
    counted where no draft is made; after many right ones in a row, a draft of known cost may take a credit below zero.
    """

    def __init__(self, costs: Mapping[int, float] | None = None) -> None:
        """`costs` are those of drafts by their length, beyond the time of one token: see `draft_costs`."""
        self._single_s = 0.0
        self._costs = dict(costs or {})
        self._switch = 0.0  # what the tokens after a draft cost more
        self._settling, self._excess = 0, 0.0  # how many such tokens are left, and their cost so far
        self._credit = _FIRST_CREDIT if costs else 0.0
        self._right = list(_FIRST_RIGHT)  # how often a prediction is right, by the length of the streak before it
        self._streak = 0  # of right predictions

    def length(self) -> int:
        """The most tokens that the next draft may have; 0 for none."""
        affordable = [length for length in _LENGTHS if self._affords(length)]
        if not self._single_s or not affordable:
            return 0
        best = max(affordable, key=self._speed)
        return best if self._speed(best) > 1 else min(affordable)  # a trial: times change

    def _affords(self, length: int) -> bool:
        cost = self._cost(length)
        promises = length in self._costs and self._speed(length) > _PROMISING
        return cost <= self._credit + _MOST_DEBT * promises

    def _speed(self, length: int) -> float:
        reached, tokens = 1.0, 1.0
        for streak in range(self._streak, self._streak + length):
            reached *= self._right[_group(streak)]
            tokens += reached
        return tokens / (1 + self._cost(length))

    def _cost(self, length: int) -> float:
        near = min(self._costs, key=lambda known: abs(known - length), default=length)
        # A batch costs much more than one token, and each token in it little.
        return self._costs.get(near, length * _GUESSED_COST) * math.sqrt(length / near) + self._switch

    def single(self, seconds: float) -> None:
        """A token was decoded without a draft."""
        last = self._single_s or seconds
        seconds = min(seconds, _SLOWEST * last)
        if self._settling:
            excess = max(0.0, seconds / last - 1)
            self._excess += excess
            self._credit -= excess
            self._settling -= 1
            if not self._settling:
                self._switch += _WEIGHT * (self._excess - self._switch)
        else:
            self._single_s = last + _WEIGHT * (seconds - last)
        self._credit = min(_MOST_CREDIT, self._credit + _CREDIT_PER_TOKEN)

    def drafted(self, length: int, accepted: int, seconds: float) -> None:
        """A token was decoded with a draft of `length` tokens, of which `accepted` were right."""
        cost = max(0.0, min(seconds / self._single_s - 1, _SLOWEST + 2.0 * length))
        known = self._costs.get(length, cost)
        self._costs[length] = known + _WEIGHT * (cost - known)
        self._credit = min(_MOST_CREDIT, self._credit + accepted - cost)
        self._settling, self._excess = _SETTLING, 0.0

    def predicted(self, *, right: bool) -> None:
        """A token was predicted, in a draft or not."""
        group = _group(self._streak)
        self._right[group] += _WEIGHT_OF_RIGHT * (right - self._right[group])
        self._streak = self._streak + 1 if right else 0


def _group(streak: int) -> int:
    """The place in `_FIRST_RIGHT` for this many right predictions."""
    return min(streak.bit_length(), len(_FIRST_RIGHT) - 1)


def draft_costs(context: Context) -> dict[int, float]:
    """What drafts of each length cost, beyond the time of one token and in that unit; for an empty cache.

    A GPU prepares its kernels and graph in the first two batches of each size.
    """
    seconds: dict[int, float] = {}
    for length in (0, *_LENGTHS):
        for _ in range(3):
            started = time.perf_counter()
            context.decode_scored((0,) * (1 + length))
            context.check_numbers()
            seconds[length] = time.perf_counter() - started
            context.keep(0)
    return {length: max(0.0, seconds[length] / seconds[0] - 1) for length in _LENGTHS}


class Speculation:
    """Decodes the tokens of one answer, with drafts where the rule allows them."""

    def __init__(self, cache: KvCache, rule: DraftRule, prompt: Sequence[int], limit: int) -> None:
        """At most `limit` tokens follow the prompt."""
        self._cache, self._rule = cache, rule
        self._lookup = Lookup(prompt)
        self._draft: list[int] = []
        self._accepted = 0
        self._left = limit
        self._started = 0.0  # of the last batch

    def write(self, token: int) -> None:
        """Decode the next token of the answer. Raises as `KvCache.write`."""
        self._left -= 1
        right = self._lookup.add(token)
        if right is not None:
            self._rule.predicted(right=right)
        if self._accepted < len(self._draft) and self._draft[self._accepted] == token:
            self._accepted += 1
            self._cache.context.next_row()
            return
        self._measure()
        self.close()
        most = min(self._rule.length(), self._left - 1)
        draft = self._lookup.draft(most) if most > 0 else []
        self._cache.write(token, draft)
        self._draft = draft

    def _measure(self) -> None:
        """Report how long the last batch took, sampling included: a GPU still works when `write` returns."""
        started, self._started = self._started, time.perf_counter()
        if self._draft:
            self._rule.drafted(len(self._draft), self._accepted, self._started - started)
        elif started:
            self._rule.single(self._started - started)

    def close(self) -> None:
        """Remove the rejected drafts from the cache."""
        rejected, self._draft = len(self._draft) - self._accepted, []
        if rejected:
            self._cache.take_back(rejected)
        self._accepted = 0
