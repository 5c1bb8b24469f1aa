"""Exports and imports: no text is lost by exporting and importing, and a page contains nothing active."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message, Role
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions.export import FORMATS, as_html, as_json, as_markdown, as_openai, as_sharegpt
from hermes_cli.store.sessions.importing import import_sessions
from hermes_cli.store.sessions.page import NOT_IN_PAGES
from hermes_cli.store.sessions.reader import SavedSession, read_session
from hermes_cli.store.sessions.writer import Transcript
from tests.saved import begun, kept, turn

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A conversation as chats leave them: a question or several, then answers and results of tools."""
    turns = []
    for number in range(1, draw(st.integers(2, 5))):
        asked = [Message("user", said) for said in draw(st.lists(text, min_size=1, max_size=2))]
        roles: list[Role] = draw(st.lists(st.sampled_from(["assistant", "tool", "system"]), min_size=1, max_size=3))
        turns.append(Turn(number, (*asked, *(Message(role, draw(text)) for role in roles))))
    return Conversation(draw(st.none() | text), tuple(turns))


def saved(conversation: Conversation) -> SavedSession:
    transcript = Transcript.new(SessionSettings("demo"), conversation.system_prompt, conversation.turns)
    transcript.save()
    transcript.close()
    return read_session(transcript.path)


@pytest.mark.parametrize("export", [as_sharegpt, as_openai])
@in_one_folder
@given(conversation=conversations())
def test_training_export_can_be_imported_unchanged(
    sessions: Path, tmp_path: Path, export: Callable[[SavedSession], str], conversation: Conversation
) -> None:
    line = export(saved(conversation))
    assert "\n" not in line
    file = tmp_path / "training.jsonl"
    file.write_text(f"{line}\n\n{line}\n")
    (first, second), left_out = import_sessions(file)
    assert not left_out
    assert read_session(first).conversation == read_session(second).conversation == conversation
    assert first != second


@in_one_folder
@given(conversation=conversations())
def test_every_word_is_in_every_export(sessions: Path, conversation: Conversation) -> None:
    session = saved(conversation)
    contents = [message.content for message in (*conversation.opening, *conversation.messages)]
    in_json = json.loads(as_json(session))
    said = [part["content"] for given in in_json["turns"] for part in given["messages"]]
    assert [in_json["system_prompt"], *said] == [
        conversation.system_prompt,
        *(part.content for given in conversation.turns for part in given.messages),
    ]
    markdown = as_markdown(session)
    assert all(content in markdown for content in contents)
    shown = unescape(as_html(session))
    said_plainly = [one for one in (*conversation.opening, *conversation.messages) if one.role != "assistant"]
    assert all(f'<div dir="auto">{one.content.translate(NOT_IN_PAGES)}</div>' in shown for one in said_plainly)


def test_json_holds_all_there_is_to_know_of_the_branch(sessions: Path) -> None:
    transcript = begun(turn(1), turn(2), system_prompt="Be brief.")
    transcript.append_turn(turn(3), 1, model="other", finished=None)
    transcript.set_state([1], "pinned")
    transcript.set_title("Notes")
    found = json.loads(as_json(read_session(transcript.path)))
    first, second = found.pop("turns")
    assert found == {
        "id": transcript.id,
        "title": "Notes",
        "created": found["created"],
        "model": "demo",
        "preset": None,
        "system_prompt": "Be brief.",
        "sampling": {},
        "max_tokens": None,
    }
    assert (first["id"], first["standing"], first["seed"], first["model"]) == (1, "pinned", 7, "demo")
    assert first["usage"] == {"prompt_tokens": 12, "cached_tokens": 3, "completion_tokens": 5}
    assert first["messages"][1] == {"role": "assistant", "content": "answer 1", "finish_reason": "stop"}
    assert (second["id"], second["seed"], second["model"]) == (3, None, "other")


def test_markdown_has_a_heading_for_each_message(sessions: Path) -> None:
    session = read_session(begun(turn(1, "Hi"), system_prompt="Be brief.").path)
    lines = as_markdown(session).split("\n\n")
    assert [lines[0], *lines[2:]] == ["# Hi", "## System", "Be brief.", "## User", "Hi", "## Assistant", "answer 1"]
    assert session.id in lines[1] and "demo" in lines[1]


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = """</article></main><script>alert(1)</script><img src=x onerror=alert(1)><style>*{display:none}</style>
<iframe src="https://evil.test"></iframe> <!-- <?php --> <svg onload=alert(1)> &lt;b&gt; <base href=//evil.test>

[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) [ok](https://good.test/?a=1&b="2")
![picture](https://evil.test/track.png "<script>") <https://auto.test> <javascript:alert(1)>

```html" onmouseover="alert(1)
<script>alert(1)</script>
```

| a | b |
|---|---|
| <script>1</script> | ~~x~~ |

\x00\x1b[31m\ud800 ]]> <![CDATA[ <script>alert(1)</script> ]]>
"""


def hostile_session() -> SavedSession:
    said = Turn(
        1,
        tuple(Message(role, HOSTILE) for role in ("user", "assistant", "tool", "system")),
    )
    transcript = Transcript.new(SessionSettings("<script>model</script>"), HOSTILE, (said,))
    transcript.set_title("</title><script>alert(1)</script>")
    return read_session(transcript.path)


ALLOWED = {"html", "head", "meta", "title", "style", "body", "header", "main", "article", "h1", "h2", "h3", "p", "a"}
ALLOWED |= {"em", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "s", "ul", "ol", "li", "br"}
ALLOWED |= {"blockquote", "hr", "h4", "h5", "h6", "div", "input"}
ALLOWED |= {"math", "mrow", "mi", "mn", "mo", "mtext", "mfrac", "msqrt", "msub", "msup", "mover", "mspace", "mstyle"}
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "dir",
    "href",
    "rel",
    "title",
    "style",
    "start",
    "type",
    "checked",
    "disabled",
    "display",
    "stretchy",
    "width",
    "mathvariant",
}


def check_page(page: str) -> Page:
    """A page of known tags and attributes only, all closed, that loads nothing."""
    found = Page(page)
    assert found.open == []
    assert {tag for tag, _ in found.tags} <= ALLOWED
    assert {name for _, attributes in found.tags for name in attributes} <= ATTRIBUTES
    for tag, attributes in found.tags:
        assert not re.match(r"(?i)\s*(javascript|data|vbscript|file):", attributes.get("href") or ""), attributes
        assert "href" not in attributes or (tag == "a" and attributes["rel"] == "noopener noreferrer")
        assert re.fullmatch(r"(text-align:(left|right|center))?", attributes.get("style") or "")
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style and "@import" not in style
    assert [tag for tag, _ in found.tags].count("style") == 1
    return found


def test_a_page_runs_nothing_and_loads_nothing(sessions: Path) -> None:
    page = as_html(hostile_session())
    found = check_page(page)
    assert found.text.count("<script>alert(1)</script>") >= 10
    assert "[picture](https://evil.test/track.png)" in found.text
    assert '<a href="https://good.test/?a=1&amp;b=%222%22" rel="noopener noreferrer">ok</a>' in page
    policy = next(attributes["content"] for _, attributes in found.tags if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "\x1b" not in page and "\0" not in page
    page.encode()


@in_one_folder
@given(st.text(st.sampled_from("<>&\"'`[]()!|-*_~#\n \\/:;=ascriptjvhefon1."), max_size=120))
def test_no_text_makes_a_page_of_its_own(sessions: Path, said: str) -> None:
    check_page(as_html(saved(Conversation(None, (turn(1, said, said),)))))


def test_markdown_is_rendered_on_the_page(sessions: Path) -> None:
    page = as_html(saved(Conversation(None, (turn(1, "a", "a < b\nc\n\n# Head\n\n*x* `y`\n\n```py\n1 < 2\n```"),))))
    for part in (
        "<p>a &lt; b<br />\nc</p>",
        "<h1>Head</h1>",
        "<em>x</em>",
        "<code>y</code>",
        '<code class="language-py">1 &lt; 2',
    ):
        assert part in page


def test_headings_formulas_addresses_and_task_lists_look_right(sessions: Path) -> None:
    answer = (
        "## Second\n\nLet \\(a+b\\) be \\[x^2\\] of $y_1$, at $5 or $6; https://example.org/a_b. See README.md.\n\n"
        "\\[\nx = \\frac{1}{2}\n\\]\n\n- [ ] open\n- [x] done"
    )
    page = as_html(saved(Conversation(None, (turn(1, "a", answer),))))
    check_page(page)
    for part in (
        "<h2>Second</h2>",
        'Let <math display="inline"><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></math> be <math display="block">',
        "<msub><mi>y</mi><mn>1</mn></msub>",
        "at $5 or $6;",
        '<a href="https://example.org/a_b" rel="noopener noreferrer">https://example.org/a_b</a>. See README.md.',
        "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>",
        'type="checkbox"> open',
        'checked="checked" disabled="disabled" type="checkbox"> done',
    ):
        assert part in page
    assert "article > h2 {" in page, "the labels of the messages have a style of their own"


@pytest.mark.parametrize(
    "formula",
    [
        r"\text{<script>alert(1)</script>}",
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(https://evil.test)}{x}",
        r"\class{x}{y}",
        r"\frac",
        r"\color{red\" onclick=\"alert(1)}{x}",
        "{" * 2000,
    ],
)
def test_no_formula_makes_a_page_of_its_own(sessions: Path, formula: str) -> None:
    answer = f"\\({formula}\\)\n\n$${formula}$$\n\n\\[{formula}\\]"
    check_page(as_html(saved(Conversation(None, (turn(1, formula, answer),)))))


def test_what_a_user_pastes_and_a_tool_gives_stays_as_it_is_on_the_page(sessions: Path) -> None:
    pasted = "# a comment\n  if a < b:\n    *p = 1\n\n\n- no list"
    said = Turn(1, (Message("user", pasted), Message("tool", pasted)))
    page = as_html(saved(Conversation(pasted, (said,))))
    assert page.count('<div dir="auto"># a comment\n  if a &lt; b:\n    *p = 1\n\n\n- no list</div>') == 3


def test_an_answer_that_did_not_end_says_so(sessions: Path) -> None:
    cut = Turn(
        1, (Message("user", "q"), Message("assistant", "half", "length"), Message("assistant", "a", "cancelled"))
    )
    session = saved(Conversation(None, (cut,)))
    for export in (as_markdown, as_html):
        assert "Assistant (cut)" in export(session) and "Assistant (stopped)" in export(session)


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def as_a_browser_has_it(page: str, folder: Path) -> str:
    """The page after Chromium has opened it and run what there is to run; where there is no Chromium, as it is."""
    if CHROMIUM is None:
        return page
    (folder / "page.html").write_text(page)
    quiet = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
    )
    command = [CHROMIUM, *quiet, f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.decode()


def test_a_browser_shows_the_page_and_runs_nothing_of_it(sessions: Path, tmp_path: Path) -> None:
    seen = as_a_browser_has_it(as_html(hostile_session()), tmp_path)
    assert seen.count("<article") == 5
    assert re.findall(r"<(?:script|img|iframe|svg|base|object|link)\b", seen) == []
    assert "<script>alert(1)</script>" in unescape(seen)


def test_every_format_takes_an_empty_session(sessions: Path) -> None:
    path = kept("hello")
    with path.open("a") as file:
        file.write('{"head":null}\n')
    session = read_session(path)
    assert all(export(session) for export in FORMATS.values())
