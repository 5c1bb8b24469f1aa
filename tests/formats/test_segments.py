"""Segments: joining neighbours changes neither the text nor where the markers are."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.formats.segment import Segment, joined, merged

segments = st.lists(st.builds(Segment, text=st.text(max_size=4), special=st.booleans()), max_size=12)


@given(segments)
def test_merging_keeps_every_character_and_its_kind(pieces: list[Segment]) -> None:
    def kinds(some: object) -> list[tuple[str, bool]]:
        return [(character, piece.special) for piece in some for character in piece.text]  # type: ignore[attr-defined]

    assert kinds(merged(pieces)) == kinds(pieces)
    assert joined(merged(pieces)) == joined(pieces)


@given(segments)
def test_merging_leaves_no_two_plain_neighbours_and_nothing_empty(pieces: list[Segment]) -> None:
    result = merged(pieces)
    assert all(left.special or right.special for left, right in pairwise(result))
    assert all(piece.text for piece in result)
    assert merged(result) == result


def test_neighbouring_markers_stay_two_markers() -> None:
    markers = (Segment("<s>", special=True), Segment("[INST]", special=True))
    assert merged(markers) == markers
