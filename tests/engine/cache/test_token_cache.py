"""Remembered tokens: the same ids as without a cache, each text tokenised once, and a bounded size."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.engine.cache.token_cache import TokenCache

LIMIT = 12


class Spelling:
    """Tokenises a text into its characters and counts how often."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, text: str) -> list[int]:
        self.calls[text] += 1
        return [ord(character) for character in text]


@given(st.lists(st.text("ab", max_size=5)))
def test_the_tokens_are_those_of_the_tokenizer(texts: list[str]) -> None:
    cache = TokenCache(Spelling(), LIMIT)
    assert [list(cache.tokens(text)) for text in texts] == [[ord(character) for character in text] for text in texts]


@given(st.lists(st.text("ab", min_size=1, max_size=2)))
def test_a_text_is_tokenised_once_while_there_is_room(texts: list[str]) -> None:
    spelling = Spelling()
    cache = TokenCache(spelling, LIMIT)  # all texts of one or two letters together
    for text in texts:
        cache.tokens(text)
    assert set(spelling.calls.values()) <= {1}


def test_the_least_recently_used_text_is_dropped() -> None:
    spelling = Spelling()
    cache = TokenCache(spelling, LIMIT)
    for text in ("aaaaa", "bbbbb", "aaaaa", "ccccc", "aaaaa", "bbbbb"):
        cache.tokens(text)
    assert spelling.calls == {"aaaaa": 1, "bbbbb": 2, "ccccc": 1}


def test_a_text_beyond_the_limit_is_tokenised_each_time() -> None:
    spelling = Spelling()
    cache = TokenCache(spelling, LIMIT)
    assert [len(cache.tokens("a" * 40)) for _ in range(2)] == [40, 40]
    assert spelling.calls == {"a" * 40: 2}
