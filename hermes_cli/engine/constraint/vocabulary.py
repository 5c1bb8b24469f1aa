"""A model's vocabulary as llguidance needs it: tables built once, while the first prompt is processed."""

import re
import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from hermes_cli.engine.llama.model import Model
from hermes_cli.errors import UsageError
from hermes_cli.formats.tags import CALL_TAGS

if TYPE_CHECKING:
    from llguidance import LLMatcher

MOST_DIGITS_OF_TOKENS = 16  # few tokenizers have longer runs
_MOST_MATCHERS = 8
_WAKE_S = 0.05


class Tables:
    """The bytes of every token, what is special, and how text is cut into tokens; the shape llguidance asks for."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, model: Model) -> None:
        from llguidance import LLTokenizer

        self._model = model
        self.tokens = model.all_pieces()
        controls = model.control_tokens
        ends = {token for token in controls.values() if model.is_end(token)}
        self.ends = ends = ends if model.eos is None else ends | {model.eos}
        # Tags of a call that are tokens of their own count as text: the grammar spells them out.
        self._tags = {tag: controls[tag] for tag in CALL_TAGS if tag in controls}
        self.special_token_ids = sorted(ends | set(controls.values()) - set(self._tags.values()))
        self.eos_token_id = min(ends, default=0)
        self._with_digits = self._digit_masks()
        self.tokenizer = LLTokenizer(self, eos_token=sorted(ends) or None)  # type: ignore[arg-type]

    def __call__(self, text: bytes | str) -> list[int]:
        """The tokens of `text` as the model writes it."""
        whole = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        parts = self._tag_pattern.split(whole) if self._tags else [whole]
        return [token for part in parts for token in self._part(part)]

    def _part(self, text: str) -> list[int]:
        return [self._tags[text]] if text in self._tags else self._model.tokenize(text)

    @cached_property
    def _tag_pattern(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, self._tags))})")

    def with_digits(self, most: int) -> int:
        """A mask, as a number, of the tokens that begin with at most `most` digits, up to MOST_DIGITS_OF_TOKENS."""
        return self._with_digits[most]

    def _digit_masks(self) -> list[int]:
        """The masks for 0 to MOST_DIGITS_OF_TOKENS digits, in one pass over the tokens."""
        size = len(self.tokens) // 8 + 1
        begun = [
            bytearray(size) for _ in range(MOST_DIGITS_OF_TOKENS + 2)
        ]  # by number of digits; the last entry is for more
        for token, piece in enumerate(self.tokens):
            if count := leading_digits(piece):
                begun[min(count, len(begun) - 1)][token >> 3] |= 1 << (token & 7)
        masks, left = [0] * (MOST_DIGITS_OF_TOKENS + 1), (1 << 8 * size) - 1
        for most in reversed(range(len(masks))):
            left &= ~int.from_bytes(begun[most + 1], "little")
            masks[most] = left
        return masks

    @cached_property
    def any_letters(self) -> list[int]:
        """Tokens of single characters that few patterns and no list of values allow all together."""
        return [token for token, piece in enumerate(self.tokens) if piece in (b"q", b"Z", b"7", b" ", b".")]

    @cached_property
    def tag_ends(self) -> list[int]:
        """The tokens that can end a tag."""
        return [token for token, piece in enumerate(self.tokens) if b">" in piece]


def leading_digits(piece: bytes) -> int:
    """How many digits, and points among them, a token begins with."""
    return len(piece) - len(piece.lstrip(b"0123456789."))


class Vocabulary:
    """The tables of one model, and the grammars compiled for it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tables: Tables | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._matchers: dict[str, LLMatcher] = {}

    def prepare(self) -> None:
        """Begin to build the tables, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._build, name="vocabulary", daemon=True)
            self._thread.start()

    def _build(self) -> None:
        try:
            self._tables = Tables(self._model)
        except BaseException as error:
            self._error = error

    def tables(self, keep_on: Callable[[], bool] = lambda: True) -> Tables | None:
        """The tables, once they are built; None if `keep_on` returns False first."""
        self.prepare()
        while self._tables is None:
            if self._error:
                raise self._error
            if not keep_on():
                return None
            assert self._thread is not None
            self._thread.join(_WAKE_S)
        return self._tables

    def matcher(self, tables: Tables, grammar: str) -> "LLMatcher":
        """The one matcher of `grammar`, at its start again: what it has computed stays cached."""
        from llguidance import LLMatcher

        from hermes_cli.engine.constraint.compiler import in_words, limits

        matcher = self._matchers.pop(grammar, None)
        if matcher is None or not matcher.reset():
            matcher = LLMatcher(tables.tokenizer, grammar, log_level=0, limits=limits())
        if matcher.is_error():
            reason = in_words(matcher.get_error())
            raise UsageError(f"the schema cannot be used: {reason}", "make it simpler, or use --no-constrain")
        self._matchers[grammar] = matcher
        while len(self._matchers) > _MOST_MATCHERS:
            del self._matchers[next(iter(self._matchers))]
        return matcher

    def close(self) -> None:
        """Wait until the model is no longer used."""
        if self._thread:
            self._thread.join()
        self._matchers.clear()
        self._tables = None
