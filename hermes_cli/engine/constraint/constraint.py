"""Constrain an answer to a schema or to the declared tools while it is generated.

Under a schema every token is chosen among those that can continue a valid answer. With tools, text is free until it
spells `<tool_call>` and an opening brace, however that was cut into tokens; then only a call of a declared tool can
follow, and after the closing tag text is free again. A tag followed by anything else is only text.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hermes_cli.chat.sampling import ALL_TOKENS, SamplingValues
from hermes_cli.engine.constraint.compiler import in_words
from hermes_cli.engine.constraint.strings import FreeStrings
from hermes_cli.engine.constraint.vocabulary import MOST_DIGITS_OF_TOKENS, Tables, Vocabulary, leading_digits
from hermes_cli.engine.decoding import sampling
from hermes_cli.engine.llama.context import Context, DecodeAborted
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.errors import UsageError
from hermes_cli.formats.tags import CALL_START

if TYPE_CHECKING:
    from llguidance import LLMatcher

    from hermes_cli.engine.constraint.grammar import Plan

_TAG = CALL_START.encode()
_MOST_DIGITS, _MOST_EXPONENT_DIGITS = 64, 2  # beyond some 300 places a number is larger than any
_TAIL_BYTES = 96
_OF_NUMBERS = b"0123456789.eE+-"
_DIGITS = re.compile(rb"(?P<exponent>[\s:,\[]-?\d[\d.]*[eE][+-]?)?(?P<digits>[\d.]*)\Z")


class Constraint:
    """The constraint of one answer; used on the engine thread. `finished` is true once no token may follow."""

    def __init__(
        self,
        plan: "Plan",
        vocabulary: Vocabulary,
        model: Model,
        context: Context,
        values: SamplingValues,
        keep_on: Callable[[], bool],
    ) -> None:
        """Ready for the first token. Raises DecodeAborted if `keep_on` returns False, UsageError."""
        self._plan, self._vocabulary = plan, vocabulary
        self._model, self._context = model, context
        self._keep_on = keep_on
        self._matcher: LLMatcher | None = None
        self._begun = b""  # the end of the text that may open a call: part of the tag, or the tag and white space
        self._tail = b" "  # the end of the constrained text
        self.finished = False
        last_n = values.repeat_last_n
        self._most_repeats = None if last_n == ALL_TOKENS else last_n
        self._strings = self._new_strings()
        self._resume(plan.begun)
        self._sampler = sampling.masked_sampler(values, context)

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()

    def _resume(self, begun: str) -> None:
        """Continue an answer that begins with this text. Raises UsageError if the schema does not allow it."""
        beginning = self._plan.whole or self._plan.opening
        if beginning:
            matcher = self._start(beginning)
            if self._reads(matcher, begun.encode()):
                self._matcher = None if self._plan.opening and matcher.is_accepting() else matcher
                self.finished = matcher.is_stopped()
                self._strings.resume(begun.encode())
                return
            if self._plan.whole:
                raise UsageError(f"the answer so far does not match the {self._plan.form}", "ask for a new answer")
        at = begun.find(CALL_START) if self._plan.call else -1
        while at >= 0:
            rest = begun[at + len(CALL_START) :].encode()
            if _is_object(rest) and self._opens(rest):
                assert self._matcher
                if not self._matcher.is_accepting():
                    return
                self._matcher = None
            at = begun.find(CALL_START, at + 1)
        end = _may_open(begun.encode())
        # A tag that must not be there is text.
        self._begun = b"" if self._plan.call is None and end.startswith(_TAG) else end

    def choose(self, free: Sampler) -> int:
        """Sample the next token, from `free` where text is free. Raises DecodeAborted, EngineError, UsageError."""
        if self.finished:
            return self._tables().eos_token_id
        return self._choose_text(free) if self._matcher is None else self._choose_constrained(self._matcher)

    def _choose_constrained(self, matcher: "LLMatcher") -> int:
        """The sampled token if it is allowed, otherwise a token sampled among the allowed ones.

        Raises SchemaNotSatisfied if the text only repeats itself.
        """
        tables, room = self._tables(), self._room_for_digits()
        self._sampler.repeated = self._strings.repeated(lambda: self._is_free(matcher))
        token = self._context.sample(self._sampler)
        fits = token not in tables.ends and leading_digits(tables.tokens[token]) <= room
        if not (fits and matcher.try_consume_tokens([token])):
            token = self._sampler.choose_again(self._mask(matcher, room))
            if token in tables.ends:
                return token
            if not matcher.consume_token(token):
                self._check(matcher)
        self._tail = (self._tail + tables.tokens[token])[-_TAIL_BYTES:]
        self._strings.add(token, tables.tokens[token], self._text_of)
        if self._plan.whole:
            self.finished = matcher.is_stopped() and not matcher.is_error()
        elif matcher.is_accepting():
            self._matcher, self._strings = None, self._new_strings()
        return token

    def _new_strings(self) -> FreeStrings:
        return FreeStrings(
            json_only=self._plan.whole is not None and self._plan.form == "schema", most_repeats=self._most_repeats
        )

    def _is_free(self, matcher: "LLMatcher") -> bool:
        """Whether any letter may follow in the open string."""
        return all(matcher.validate_tokens([token]) for token in self._tables().any_letters)

    def _text_of(self, tokens: list[int]) -> str:
        return b"".join(map(self._model.piece, tokens)).decode("utf-8", "replace")

    def _room_for_digits(self) -> int:
        """The number of digits that may follow, because small models can write endless numbers."""
        if self._tail[-1] not in _OF_NUMBERS or self._plan.form == "grammar":
            return _MOST_DIGITS
        found = _DIGITS.search(self._tail)
        assert found
        return (_MOST_EXPONENT_DIGITS if found["exponent"] else _MOST_DIGITS) - len(found["digits"])

    def _mask(self, matcher: "LLMatcher", room: int) -> bytes:
        """The allowed tokens, with at most `room` digits unless more are required. Raises UsageError."""
        mask = matcher.compute_bitmask()
        self._check(matcher)
        if room > MOST_DIGITS_OF_TOKENS:
            return mask
        left = int.from_bytes(mask, "little") & self._tables().with_digits(max(room, 0))
        return left.to_bytes(len(mask), "little") if left else mask

    def _check(self, matcher: "LLMatcher") -> None:
        if matcher.is_error():
            reason = in_words(matcher.get_error())
            raise UsageError(
                f"the {self._plan.form} could not be enforced to the end: {reason}",
                "make it simpler, or use --no-constrain",
            )

    def _choose_text(self, free: Sampler) -> int:
        token = self._context.sample(free)
        if self._model.is_end(token):
            return token
        after = _after_tag(self._begun + self._model.piece(token))
        if after is not None and not self._may_follow(after):
            if self._begun.startswith(_TAG):
                matcher = self._matcher = self._start(self._plan.call or "")
                self._reads(matcher, b"\n" if len(self._begun) > len(_TAG) else b"")
                self._begun = b""
                return self._choose_constrained(matcher)
            self._context.sample(self._sampler)
            token = self._sampler.choose_again(self._text_mask(self._tables()))
            self._may_follow(_after_tag(self._begun + self._model.piece(token)) or b"")
        self._begun = b"" if self._matcher else _may_open(self._begun + self._model.piece(token))
        return token

    def _may_follow(self, after: bytes) -> bool:
        """Whether these bytes may follow the tag, as a call, which is then open, or as other text."""
        if self._plan.call is None:
            return False
        return not _is_object(after) or self._opens(after)

    def _opens(self, after: bytes) -> bool:
        """Whether a call may begin with these bytes; if so, it is open now."""
        matcher = self._start(self._plan.call or "")
        if not self._reads(matcher, b"\n" + after.lstrip()):
            return False
        self._matcher, self._strings = matcher, self._new_strings()
        self._strings.resume(after)
        return True

    def _reads(self, matcher: "LLMatcher", data: bytes) -> bool:
        tokens = self._tables().tokenizer.tokenize_bytes(data) if data else []
        return matcher.try_consume_tokens(tokens) == len(tokens)

    def _text_mask(self, tables: Tables) -> bytes:
        """All tokens except those that would open a call that is not allowed."""
        mask = bytearray(b"\xff" * (len(tables.tokens) // 8) + bytes([(1 << len(tables.tokens) % 8) - 1]))
        for token in tables.tag_ends:
            after = _after_tag(self._begun + tables.tokens[token])
            if after is not None and (self._plan.call is None or (_is_object(after) and not self._fits(after))):
                mask[token >> 3] &= ~(1 << (token & 7))
        return bytes(mask)

    def _fits(self, after: bytes) -> bool:
        return self._reads(self._start(self._plan.call or ""), b"\n" + after.lstrip())

    def _start(self, grammar: str) -> "LLMatcher":
        return self._vocabulary.matcher(self._tables(), grammar)

    def _tables(self) -> Tables:
        tables = self._vocabulary.tables(self._keep_on)
        if tables is None:
            raise DecodeAborted
        return tables


def _after_tag(text: bytes) -> bytes | None:
    """What follows the last tag in `text`; None if there is no tag."""
    at = text.rfind(_TAG)
    return None if at < 0 else text[at + len(_TAG) :]


def _is_object(after: bytes) -> bool:
    """Whether an object begins behind the tag, so that it opens a call; anything else makes it a mention."""
    return after.lstrip().startswith(b"{")


def _may_open(text: bytes) -> bytes:
    """The end of `text` that may open a call: the tag and white space behind it, or as much of the tag as is there."""
    after = _after_tag(text)
    if after is not None and not after.strip():
        return _TAG + after
    sizes = range(min(len(text), len(_TAG) - 1), 0, -1)
    return next((_TAG[:size] for size in sizes if text.endswith(_TAG[:size])), b"")
