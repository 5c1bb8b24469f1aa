"""Whether llguidance can compile a grammar, and whether any text satisfies it, tested with an alphabet of bytes."""

import re
import sys
from functools import cache
from typing import TYPE_CHECKING

from hermes_cli.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_END = 256
_LEXER_FUEL, _STEP_FUEL = 10_000_000, 200_000
_LETTERS = b"the 7 Quick foxes, 1.5"  # allowed characters
_PLACE = re.compile(r"^((at )?\d+\(\d+\): )?(failed to (compile JSON schema|parse \"%json\"): )?")
_UNKNOWN = re.compile(r"Unimplemented keys: \[(.*)\]")
_REASON = re.compile(r"^error: (.*)$", re.MULTILINE)
_IN_RULE = re.compile(r'invalid regex "(.*)" \(in regex\): regex parse error')
_QUOTE = '"'
UNSATISFIABLE = "nothing can satisfy it"


class ByteAlphabet:
    """A vocabulary of the 256 bytes and an end, in the shape llguidance asks for."""

    is_tokenizer_wrapper = True
    eos_token_id = _END
    bos_token_id = None
    special_token_ids = (_END,)
    tokens = (*(bytes([byte]) for byte in range(_END)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@cache
def bytes_tokenizer() -> "LLTokenizer":
    """The alphabet of bytes for llguidance."""
    from llguidance import LLTokenizer

    # With the slices that real vocabularies get: some patterns are too complex for those alone.
    return LLTokenizer(ByteAlphabet(), eos_token=_END)  # type: ignore[arg-type]


def limits(step_fuel: int = _STEP_FUEL) -> "LLParserLimits":
    """The limits of llguidance for every grammar. Its own are too low for several counted patterns in one schema."""
    from llguidance import LLParserLimits

    return LLParserLimits(verbose_errors=False, initial_lexer_fuel=_LEXER_FUEL, step_lexer_fuel=step_fuel)


def fault(grammar: str, steps: int = 0) -> str | None:
    """Why no text can satisfy `grammar`; None if one can. Tests `steps` bytes of an answer."""
    from llguidance import LLMatcher

    # A real vocabulary has many more tokens per step than this alphabet, so only a tenth of the limit is used here.
    step_fuel = _STEP_FUEL // 10 if steps else _STEP_FUEL
    matcher = LLMatcher(bytes_tokenizer(), grammar, log_level=0, limits=limits(step_fuel))
    if not matcher.is_error():
        # The first step finds what can never be finished, such as an object that must hold itself.
        allowed = matcher.compute_bitmask()
        if not matcher.is_error() and any(allowed):
            return _walk(matcher, steps) if steps else None
    return in_words(matcher.get_error())


def _walk(matcher: "LLMatcher", steps: int) -> str | None:
    """Write one string as long as the grammar allows, and return what stops it."""
    for step in range(steps):
        mask = int.from_bytes(matcher.compute_bitmask(), "little") & ~(1 << _END)
        if matcher.is_error():
            return in_words(matcher.get_error())
        if not mask:
            return None
        letters = mask & ~(1 << ord('"') | 1 << ord("\\")) or mask
        wanted = _LETTERS[step % len(_LETTERS)]
        matcher.consume_token(wanted if letters >> wanted & 1 else (letters & -letters).bit_length() - 1)
    return in_words(matcher.get_error()) if matcher.is_error() else None


def in_words(error: str) -> str:
    """An error of llguidance in words for the author of the schema."""
    error = _PLACE.sub("", error.strip())
    first = error.splitlines()[0].strip() if error else ""
    if unknown := _UNKNOWN.match(first):
        return f"it uses {unknown[1].replace(_QUOTE, '')}"
    if first.startswith("Unsatisfiable schema: "):
        return f"{UNSATISFIABLE}: {first.partition(': ')[2]}"
    if first.startswith("NoExtension") or not first:
        return UNSATISFIABLE
    if first.startswith(("panic", "Parser Error", "parser error", "lexer", "Lexer", "initial lexer")):
        return "it is too complex"
    of_rule = _IN_RULE.match(first)
    if first.startswith("regex parse error") or of_rule:
        reason = _REASON.search(error)
        pattern = f"the pattern {of_rule[1]}" if of_rule else "a pattern"
        return f"{pattern} cannot be used: {reason[1] if reason else 'it is not a regular expression'}"
    if first.startswith("lookarounds"):
        return "a pattern cannot be used: look-around is not supported"
    return first


def check_library() -> None:
    """Raise EngineError where llguidance is missing or does not load."""
    try:
        import llguidance  # noqa: F401
    except (ImportError, OSError) as error:
        raise EngineError(
            f"constrained answers need llguidance: {error}", f"{sys.executable} -m pip install llguidance"
        ) from error
