"""Server-sent events: the same data however the stream is cut, with every line end and every oddity."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.remote.sse import event_data

STREAM = 'data: {"a": "ä€😀"}\n\n: ping\n\nevent: x\ndata:two\nid: 7\n\ndata: one\ndata: more\n\ndata: last'


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_the_data_does_not_depend_on_the_cuts(line_end: str, cuts: list[int]) -> None:
    stream = STREAM.replace("\n", line_end).encode()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert list(event_data(chunks)) == ['{"a": "ä€😀"}', "two", "one\nmore", "last"]


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert list(event_data([b"data: a\xffb\n\n"])) == ["a\ufffdb"]


def test_an_empty_stream_has_no_data() -> None:
    assert list(event_data([])) == []
