"""Strings of JSON that is being written: where they are, what they repeat, and when they only loop."""

from collections import Counter

import pytest

from hermes_cli.engine.constraint.strings import FreeStrings, JsonPosition, repeated_period
from hermes_cli.errors import SchemaNotSatisfied


@pytest.mark.parametrize(
    ("text", "in_value"),
    [
        ('"a', True),
        ('"a"', False),
        ('{"a', False),
        ('{"a": "b', True),
        ('{"a": "b", "c', False),
        ('{"a": ["b", "c', True),
        ('{"a": [{"b": "c"}, "d', True),
        ('{"a": {"b": 1}, "c', False),
        (r'{"a": "b\"c', True),
        (r'{"a": "b\\", "c', False),
        ('{"a": "{', True),
    ],
)
def test_the_position_in_json(text: str, in_value: bool) -> None:
    position = JsonPosition(json_only=True)
    for byte in text.encode():
        position.feed(bytes([byte]))
    assert position.in_value is in_value
    whole = JsonPosition(json_only=True)
    whole.feed(text.encode())
    assert whole.in_value is in_value


def test_quotes_outside_of_json_open_nothing() -> None:
    position = JsonPosition(json_only=False)
    position.feed(b'say "')
    assert not position.in_value
    position.feed(b'{"a": "')
    assert position.in_value


def written(strings: FreeStrings, pieces: list[bytes], *, free: bool = True) -> list[Counter[int]]:
    """The tokens penalised before each piece; a token is the place of its piece among all different ones."""
    known = sorted(set(pieces))
    penalised = []
    for piece in pieces:
        penalised.append(strings.repeated(lambda: free))
        strings.add(known.index(piece), piece, lambda tokens: b"".join(known[token] for token in tokens).decode())
    return penalised


def test_only_what_free_strings_hold_is_penalised() -> None:
    pieces = [b'{"', b"key", b'": "', b"one", b" two", b'", "', b"one", b'": "', b"x", b'"}']
    known = sorted(set(pieces))
    names = [
        {known[token] for token in tokens} for tokens in written(FreeStrings(json_only=True, most_repeats=64), pieces)
    ]
    two = {b"one", b" two"}
    assert names == [set(), set(), set(), set(), {b"one"}, two, set(), set(), two, {*two, b"x"}]
    closed = written(FreeStrings(json_only=True, most_repeats=64), pieces, free=False)
    assert not any(closed)


def test_tokens_are_counted_as_often_as_they_occurred() -> None:
    pieces = [b'"', b"la", b" la", b"la", b'"']
    counts = written(FreeStrings(json_only=True, most_repeats=2), pieces)
    assert [sorted(one.values()) for one in counts] == [[], [], [1], [1, 1], [1, 1]]
    assert sorted(written(FreeStrings(json_only=True, most_repeats=None), pieces)[-1].values()) == [1, 2]


def test_a_text_that_only_repeats_itself_is_stopped() -> None:
    strings = FreeStrings(json_only=True, most_repeats=64)
    with pytest.raises(SchemaNotSatisfied, match='the answer repeats "fierce and a" endlessly'):
        written(strings, [b'{"a": "', *[b" and", b" a", b" fierce"] * 200])


def test_numbers_and_different_records_are_no_loop() -> None:
    written(FreeStrings(json_only=True, most_repeats=64), [b"[", *[b"0", b", "] * 500])
    records = [piece for at in range(300) for piece in (b'{"id": ', str(at).encode(), b', "a": "', b"ok", b'"}, ')]
    written(FreeStrings(json_only=True, most_repeats=64), [b"[", *records])


def test_the_period_of_a_repetition() -> None:
    assert repeated_period([1, 2, 3] * 90) == 3
    assert repeated_period([1, 2, 3] * 80) == 0
    assert repeated_period([*range(1000)]) == 0
    assert repeated_period([*range(100)] * 3) == 100
