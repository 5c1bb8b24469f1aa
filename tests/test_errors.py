"""Texts of errors."""

import pytest

from hermes_cli.errors import shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short enough", "short enough"),
        ("the folder is not there", "the folder is not…"),
        ("the folder is not t", "the folder is not t"),
        ("a\nfolder is not there", "a\nfolder is not…"),
        ("x" * 30, "x" * 18 + "…"),
        ("no " + "x" * 30, "no " + "x" * 15 + "…"),
    ],
)
def test_a_long_text_is_cut_after_a_word(text: str, expected: str) -> None:
    assert shortened(text, 19) == expected
