"""The strings in JSON during generation: where free ones are, which tokens repeat in them, and endless loops."""

from collections import Counter, deque
from collections.abc import Callable

from hermes_cli.errors import SchemaNotSatisfied

_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_OPENING, _CLOSING = b"{[", b"}]"
_LONGEST_PERIOD, _LEAST_REPEATS, _LEAST_TOKENS = 128, 3, 256
_CHECK_EVERY = 32


class JsonPosition:
    """Where in JSON the end of a text is. Strings count inside objects and lists, or anywhere in JSON alone."""

    def __init__(self, *, json_only: bool) -> None:
        self._json_only = json_only
        self._open: list[int] = []  # the brackets that are open
        self._key_next = False
        self._escaped = False
        self._in_string = self._is_key = False

    @property
    def in_value(self) -> bool:
        """Whether the text ends inside a string that is a value."""
        return self._in_string and not self._is_key

    def feed(self, data: bytes) -> bool:
        """Read more of the text; whether all of it is inside of one string value."""
        inside = self.in_value
        for byte in data:
            if self._in_string:
                self._read_string(byte)
            elif byte == _QUOTE:
                if self._open or self._json_only:
                    self._in_string, self._is_key = True, self._key_next
            elif byte in _OPENING:
                self._open.append(byte)
                self._key_next = byte == _OPENING[0]
            elif byte in _CLOSING and self._open:
                self._open.pop()
                self._key_next = False
            elif byte in (_COLON, _COMMA) and self._open:
                self._key_next = byte == _COMMA and self._open[-1] == _OPENING[0]
            inside = inside and self._in_string
        return inside

    def _read_string(self, byte: int) -> None:
        if self._escaped:
            self._escaped = False
        elif byte == _BACKSLASH:
            self._escaped = True
        elif byte == _QUOTE:
            self._in_string = False


class FreeStrings:
    """The free strings of one constrained text: those whose content the schema leaves open."""

    def __init__(self, *, json_only: bool, most_repeats: int | None) -> None:
        """`most_repeats` is how many of the last tokens in free strings count as repeated; None: all of them."""
        self._position = JsonPosition(json_only=json_only)
        self._recent: deque[int] = deque(maxlen=most_repeats)
        self._tokens: list[int] = []
        self._is_free: bool | None = None  # of the string that is open, once that is known

    def resume(self, text: bytes) -> None:
        """Start after existing text."""
        self._position.feed(text)

    def repeated(self, is_free: Callable[[], bool]) -> Counter[int]:
        """The tokens that penalties apply to now, and how often each occurred: none outside of free strings."""
        if not self._position.in_value:
            self._is_free = None
        elif self._is_free is None:
            self._is_free = is_free()
        return Counter(self._recent if self._is_free else ())

    def add(self, token: int, piece: bytes, text_of: Callable[[list[int]], str]) -> None:
        """Count the token that was written. Raises SchemaNotSatisfied once the text only repeats itself."""
        inside = self._position.feed(piece)
        self._tokens.append(token)
        if not (inside and self._is_free):
            if not self._position.in_value:
                self._is_free = None
            return
        self._recent.append(token)
        if len(self._tokens) % _CHECK_EVERY == 0 and (period := repeated_period(self._tokens)):
            text = " ".join(text_of(self._tokens[-period:]).split())
            raise SchemaNotSatisfied(
                f'the answer repeats "{text[:60]}" endlessly',
                "try another --seed or a higher --repeat-penalty, or bound the text in the schema with maxLength",
            )


def repeated_period(tokens: list[int]) -> int:
    """The length of the sequence of tokens that repeats at the end; 0 if none does."""
    for period in range(1, _LONGEST_PERIOD + 1):
        span = max(_LEAST_TOKENS, _LEAST_REPEATS * period)
        if len(tokens) < span:
            break
        if tokens[-1] == tokens[-1 - period] and tokens[-span:-period] == tokens[-span + period :]:
            return period
    return 0
