"""Text does not depend on how tokens split its bytes, and stop strings are never sent."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hermes_cli.engine.decoding.text_stream import TextStream

texts = st.text(st.sampled_from("ab<|é🜁\n") | st.characters(exclude_categories=["Cs"]), max_size=24)
cuts = st.lists(st.integers(0, 99), max_size=10)
repeating = st.text("ab🜁", max_size=24)
stops = st.lists(st.text("ab🜁", min_size=1, max_size=4), max_size=3).map(tuple)


def streamed(data: bytes, places: list[int], stop: tuple[str, ...] = ()) -> str:
    """All text that comes out when `data` goes in cut at `places`."""
    stream = TextStream(stop)
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return "".join(stream.feed(data[start:end]) for start, end in pairwise(edges)) + stream.finish()


def before_stop(text: str, stop: tuple[str, ...]) -> str:
    """`text` up to the stop string that is complete first; of several complete at once the longest counts."""
    for end in range(len(text) + 1):
        complete = [one for one in stop if text[:end].endswith(one)]
        if complete:
            return text[: end - max(map(len, complete))]
    return text


@given(text=texts, places=cuts)
def test_every_cut_gives_the_text(text: str, places: list[int]) -> None:
    assert streamed(text.encode(), places) == text


@given(data=st.binary(max_size=24), places=cuts)
def test_every_cut_of_any_bytes_gives_what_one_piece_gives(data: bytes, places: list[int]) -> None:
    assert streamed(data, places) == data.decode("utf-8", "replace")


@given(text=repeating | texts, places=cuts, stop=stops)
@example(text="hello world", places=[], stop=("world", "o"))
@example(text="hello world", places=[6, 9], stop=("world", "rl"))
def test_the_text_ends_before_the_first_stop_string_for_every_cut(
    text: str, places: list[int], stop: tuple[str, ...]
) -> None:
    assert streamed(text.encode(), places, stop) == before_stop(text, stop)


@given(text=repeating | texts, stop=stops)
def test_nothing_of_a_stop_string_or_after_it_gets_out(text: str, stop: tuple[str, ...]) -> None:
    stream = TextStream(stop)
    released = "".join(stream.feed(bytes([byte])) for byte in text.encode())
    assert before_stop(text, stop).startswith(released)
    assert stream.stopped == (before_stop(text, stop) != text)


@given(text=texts)
def test_without_stop_strings_nothing_is_held_back(text: str) -> None:
    stream = TextStream()
    assert stream.feed(text.encode()) == text
    assert stream.finish() == ""


def test_whole_characters_come_as_soon_as_they_are_certain() -> None:
    stream = TextStream(("STOP",))
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.feed("é".encode()[1:] + b" ST") == "é "
    assert stream.feed(b"ART") == "START"


def test_an_answer_cut_in_a_character_ends_with_the_replacement_character() -> None:
    stream = TextStream()
    assert stream.feed("a🜁".encode()[:-1]) + stream.finish() == "a\ufffd"


@pytest.mark.parametrize("stop", [(), ("",)])
def test_an_empty_stop_string_stops_nothing(stop: tuple[str, ...]) -> None:
    assert streamed(b"text", [2], stop) == "text"
