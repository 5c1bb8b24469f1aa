"""The rendering of blocks, shown as pictures."""

import re
from textwrap import dedent

import pytest

from hermes_cli.terminal.markdown.writer import render_markdown

LOOKS = {
    "headings and paragraphs": (
        "# One #\ntext\n\n\n\n## Two\nTitle\n---\nfirst line\nsecond line of the verse  \nthird",
        """\
        One

        text

        Two

        Title

        first line
        second line of the verse
        third
        """,
    ),
    "lists": (
        "Intro:\n- a\n- b that is longer than a line\n  - c\n    1. d\n- e\n\n9. nine\n9. ten\n\n   more\n9. eleven",
        """\
        Intro:

         • a
         • b that is longer than a
           line
            ◦ c
               1. d
         • e

         9. nine
        10. ten

            more

        11. eleven
        """,
    ),
    "quotes": (
        "> quoted words that drift for long\n>\n> - item\n> > deeper\n\n***\nafter",
        """\
        │ quoted words that drift for
        │ long
        │
        │  • item
        │
        │ │ deeper

        ──────────────────────────────

        after
        """,
    ),
    "code is not wrapped and has only lines above and below": (
        "```python\ndef f():\n\n    return 'a very long line of code that extends'\n\n```\n\n    indented\n\n"
        "1. item\n   ```\n   in item\n   ```",
        """\
        ── python ────────────────────
        def f():

            return 'a very long line of code that extends'
        ──────────────────────────────

        ──────────────────────────────
        indented
        ──────────────────────────────

         1. item

            ──────────────────────────
            in item
            ──────────────────────────
        """,
    ),
    "tasks": (
        "To do:\n- [ ] open `code`\n- [x] done\n- [y] no task\n1. [X] numbered",
        """\
        To do:

         ☐ open code
         ☑ done
         • [y] no task

        1. ☑ numbered
        """,
    ),
    "tables": (
        "| Name | Size |\n|:--|--:|\n| a | 1 |\n| **long name** | 22 GB |",
        """\
        Name        Size
        ────────────────
        a              1
        long name  22 GB
        """,
    ),
    "cells that are too wide": (
        "| Name | What it is for |\n|---|---|\n| a | some words that are too many |",
        """\
        Name  What it is for
        ──────────────────────────────
        a     some words that are too
              many
        """,
    ),
    "tables that are too wide": (
        "| Name | First thing | The other thing |\n|-|-|-|\n| abcdefgh | one value | another value |\n| b | c | d |",
        """\
        Name: abcdefgh
        First thing: one value
        The other thing: another value

        Name: b
        First thing: c
        The other thing: d
        """,
    ),
    "links, images and formulas": (
        "[a](http://b/c) <http://d.e>\n[http://f](http://f) ![g](h.png)\n\\(x_1*y*z\\) \\[a\nx + b\\]",
        """\
        a (http://b/c) http://d.e
        http://f g (h.png)
        \\(x_1*y*z\\) \\[a
        x + b\\]
        """,
    ),
    "what looks like HTML is text": (
        "List<int> <think>hm</think>\n\n<div>\n\n[a]: http://b\n\n[a]",
        """\
        List<int> <think>hm</think>

        <div>

        [a]: http://b

        [a]
        """,
    ),
    "wide characters": (
        "中文字符和日本語はここで折り返されますよね、たぶん。",
        """\
        中文字符和日本語はここで折り返
        されますよね、たぶん。
        """,
    ),
}


def plain(markdown: str, width: int = 30) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", render_markdown(markdown, width, color=True))


@pytest.mark.parametrize(("markdown", "look"), LOOKS.values(), ids=LOOKS)
def test_block_rendering(markdown: str, look: str) -> None:
    assert plain(markdown) == dedent(look)


def test_styles_are_those_of_the_terminals_own_theme() -> None:
    shown = render_markdown("# A\n**b** *c* ~~d~~ `e` [f](g)\n```py\nreturn 1  # h\n```", 80, color=True)
    assert "\x1b[1;4;35mA\x1b[0m" in shown
    assert (
        "\x1b[1mb\x1b[0m \x1b[3mc\x1b[0m \x1b[9md\x1b[0m \x1b[1;36me\x1b[0m \x1b[4mf\x1b[0m\x1b[2m (g)\x1b[0m" in shown
    )
    assert "\x1b[35mreturn\x1b[0m \x1b[36m1\x1b[0m  \x1b[2;3m# h\x1b[0m" in shown
    assert not re.search(r"\x1b\[[0-9;]*(?:[34]8;|\b4[0-7]\b)", shown), "no backgrounds, no colours of our own"


@pytest.mark.parametrize("width", [1, 7, 8, 20, 33, 200])
def test_prose_and_tables_fit_and_prose_stays_readable_in_wide_windows(width: int) -> None:
    shown = plain(
        "word " * 60 + "\n\n- " + "item " * 30 + "\n\n| a | b |\n|---|---|\n| " + "cell " * 30 + "| x |", width
    )
    assert max(map(len, shown.splitlines())) <= max(width, 8)
    assert max(map(len, shown.split("\n\n")[0].splitlines())) <= 100
