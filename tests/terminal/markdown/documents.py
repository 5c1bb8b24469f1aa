"""Documents and cuts for the Markdown tests: lines as models write them and as they would hurt, in any order."""

import os
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

# HERMES_CLI_TEST_DOCUMENTS=10000 sets the number of documents; the default takes some seconds.
DOCUMENTS = int(os.environ.get("HERMES_CLI_TEST_DOCUMENTS", "300"))
on_many_documents = settings(max_examples=DOCUMENTS)

_LINES = [
    *("", "", "", " ", "\t", "text", "more *text* and `code`", "**bold** to **bold", "a  ", "b\\"),
    *("# One", "## Two ##", "####### no", "===", "---", "- - -", "***", "_ _ _", "--", "="),
    *("- a", "* b", "+ c", "-", "1. one", "2. two", "3) three", "10. ten", "1.", "- [ ] task", "0. zero"),
    *("  - deeper", "   - a little", "    - deep", "\t- tab", "  continued", "   1. inner", "      code in it", " - a"),
    *(
        "```",
        "```python",
        "~~~",
        "~~~~ c",
        "````",
        "  ```",
        "   ~~~ py",
        "    ```",
        "```a`b",
        "- ```sh",
        "> ```",
        "```  ",
    ),
    *('def f(x):\n    """doc', '    """', "/* begins", "ends */ x = 1;", "key: [1, 2]", "\tindented()", "   odd"),
    *("> quote", ">", "> - item", "> > deep", ">no space", "    code", "        more code"),
    *("| a | b |", "|---|---|", "|:-:|--:|", "| 1 | 2 |", "a | b", "--- | ---", "|", "| `x|y` | z"),
    *("[a]: http://b", "[a]", "[a](http://b/ü)", "<http://c>", "![i](j.png)", "<div>", "<int>", "&#x202e;", "&#27;[2J"),
    *(
        "中文字符没有空格",
        "👩‍👧 ❤️ 1️⃣",
        "שלום עולם",
        "e\u0301",
        "x" * 50,
        "word " * 30,
        "\\# \\* \\`",
        "&amp; &Tab; &#10;",
    ),
]

lines = st.sampled_from(_LINES) | st.text(st.sampled_from("ab *_`~-+=#>|[]()!<&1.2\t\\:"), max_size=12)
documents = st.tuples(st.lists(lines, max_size=14), st.sampled_from(["", "\n", "\n\n", "\r\n"])).map(
    lambda parts: "\n".join(parts[0]) + parts[1]
)


def cut(text: str, places: Sequence[int]) -> list[str]:
    """`text` cut at these places, wherever they lie."""
    ends = sorted({place % (len(text) + 1) for place in places} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def cuts(text: str, places: Sequence[int]) -> list[list[str]]:
    """Several ways to cut it: each character by itself, line by line, at these places, not at all."""
    return [list(text), text.splitlines(keepends=True), cut(text, places), [text]]


places = st.lists(st.integers(0, 1 << 16), max_size=8)
