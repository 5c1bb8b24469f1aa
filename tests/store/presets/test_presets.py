"""Presets: the bundled ones, the format of a file and its faults, filling, and which file a name means."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli import paths
from hermes_cli.chat.sampling import Sampling
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.session.sources import from_preset
from hermes_cli.session.target.local import load_options
from hermes_cli.store.presets.forms import schema_of
from hermes_cli.store.presets.presets import all_presets, create, fill, find_preset, preset_names
from hermes_cli.store.schemas import load_schema
from tests.conftest import Script
from tests.saved import message

BUNDLED = sorted(file.stem for file in paths.bundled_prompts_folder().glob("*.md"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of presets, not made yet."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    return paths.prompts_folder()


@pytest.fixture
def write(own: Path) -> Callable[..., None]:
    """Puts a file into the user's folder."""

    def written(text: str | bytes, name: str = "mine") -> None:
        own.mkdir(parents=True, exist_ok=True)
        (own / f"{name}.md").write_bytes(text.encode() if isinstance(text, str) else text)

    return written


def preset(front: str, body: str = "") -> str:
    return f"---\ndescription: for a test\n{front}\n---\n{body}"


def nested_lists(depth: int) -> str:
    """A list of lists in few letters whose text would have ten to the power of `depth` values."""
    inner = nested_lists(depth - 1) if depth else "x"
    return f"&a{depth} [{inner}{f', *a{depth - 1}' * 9 if depth else ''}]"


def test_there_are_a_dozen_bundled_presets() -> None:
    assert len(BUNDLED) >= 12
    assert {"default", "json", "shell", "commit", "summarise", "translate"} <= set(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_preset_loads_and_fills(own: Path, name: str) -> None:
    found = find_preset(name)
    required = {variable: "a {{thing}}" for variable, default in found.variables.items() if default is None}
    prompt = fill(found, required)
    assert found.bundled and found.description and found.model is None
    assert (prompt is None) == (name == "default")
    assert "{{" not in (prompt or "").replace("a {{thing}}", "").replace("{{tools}}", "")
    # What offers tools in its own words has those the model was trained on, however long.
    assert len(prompt or "") < 900 or "{{tools}}" in (prompt or "")


def test_every_key_of_a_preset_is_read(own: Path, write: Callable[..., None]) -> None:
    write(
        "---\ndescription: >\n  two\n  lines\nmodel: demo\nsampling:\n  temperature: 0\n  top_k: 7\n  top_p: 0.9\n"
        "  min_p: 0.1\n  repeat_penalty: 1.5\n  max_tokens: 9\ntools: [calculate, 'read_file:notes', a.py, ~/b.json]\n"
        "schema: name, age int\nvariables:\n  who: the user\n  what:\n"
        "---\n\n  Help {{who}} with {{what}}.\n\n"
    )
    found = find_preset("mine")
    assert found.description == "two lines"
    assert found.model == "demo"
    assert found.sampling == Sampling(0.0, 7, 0.9, 0.1, 1.5)
    assert isinstance(found.sampling.top_k, int)
    assert found.max_tokens == 9
    assert found.variables == {"who": "the user", "what": None}
    assert found.system_prompt == "Help {{who}} with {{what}}."
    assert (found.path, found.bundled) == (own / "mine.md", False)
    assert found.tools == ("calculate", "read_file:notes", str(own / "a.py"), str(Path.home() / "b.json"))
    assert schema_of(found) == load_schema("name, age int")


def test_short_preset_sets_no_other_values(write: Callable[..., None]) -> None:
    write(preset(""))
    found = find_preset("mine")
    assert (found.system_prompt, found.sampling, found.max_tokens, found.model) == (None, Sampling(), None, None)
    assert fill(found, {}) is None
    assert (found.tools, schema_of(found)) == ((), None)


def test_paths_in_a_preset_are_relative_to_its_file(own: Path, write: Callable[..., None]) -> None:
    write(preset("tools: ../weather.py\nschema: people.json"))
    (own / "people.json").write_text('{"type": "integer"}')
    found = find_preset("mine")
    assert (found.tools, schema_of(found)) == ((str(own / "../weather.py"),), {"type": "integer"})
    (own / "people.json").write_text("{")
    assert "people.json is not JSON: " in (report := message(lambda: schema_of(found)))
    assert f"(in the preset {own / 'mine.md'})" in report


def test_a_file_from_another_system_is_read(write: Callable[..., None]) -> None:
    write(b"\xef\xbb\xbf---\r\ndescription: d\r\n---\r\none\r\ntwo\r\n")
    assert find_preset("mine").system_prompt == "one\ntwo"


def test_values_stay_as_they_are_written(write: Callable[..., None]) -> None:
    """YAML would make a truth value, a number and a date of these."""
    write(preset("variables:\n  a: no\n  b: 1.10\n  c: 2024-01-01\n  d: ''\n  e: ~", "{{a}} {{b}} {{c}} {{d}} {{e}}"))
    assert fill(find_preset("mine"), {"e": "on"}) == "no 1.10 2024-01-01  on"


def test_only_declared_variables_are_replaced(write: Callable[..., None]) -> None:
    write(preset("variables:\n  a: A", "{{a}} {{b}} {a} {{ a }} {{{a}}} {} {{}} {{a.b}}"))
    assert fill(find_preset("mine"), {}) == "A {{b}} {a} {{ a }} {A} {} {{}} {{a.b}}"


@given(first=st.text(), second=st.text())
def test_braces_in_a_value_are_not_expanded(first: str, second: str) -> None:
    found = replace(find_preset("default"), system_prompt="<{{a}}|{{b}}>", variables={"a": None, "b": None})
    assert fill(found, {"a": first + "{{b}}\\1", "b": second}) == f"<{first}{{{{b}}}}\\1|{second}>"


def test_missing_and_undeclared_variables_are_named(write: Callable[..., None]) -> None:
    write(preset("variables:\n  language:", "{{language}}"))
    found = find_preset("mine")
    assert "needs a value for language | pass --var language=TEXT, or in a chat: /preset mine language=TEXT" in message(
        lambda: fill(found, {})
    )
    wrong = message(lambda: fill(found, {"langauge": "x"}))
    assert "no variable langauge | did you mean language?" in wrong
    assert "hermes presets show mine" in message(lambda: fill(found, {"xyz": "x"}))


FAULTS = {
    "no front matter": ("Be brief.", "has no front matter"),
    "no end": ("---\ndescription: d\nBe brief.", "has no front matter"),
    "an empty file": ("", "has no front matter"),
    "a list": ("---\n- a\n---\n", "needs `key: value` lines"),
    "only a word": ("---\nhello\n---\n", "needs `key: value` lines"),
    "bad YAML": ("---\ndescription: d\nmodel: [a\n---\n", "has an error in line"),
    "a tab": ("---\ndescription: d\nsampling:\n\ttop_k: 1\n---\n", "has an error in line 4"),
    "a control character": ("---\ndescription: \x07\n---\n", "has invalid front matter"),
    "a key twice": (preset("model: a\nmodel: b"), "a duplicate key"),
    "a loop": (preset("variables: &a\n  x: *a", "{{x}}"), "has an error in line"),
    "deep nesting": (preset("model: " + "[" * 50_000), "nested too deeply"),
    "no description": ("---\nmodel: demo\n---\n", "has no description"),
    "an empty description": ("---\ndescription: ''\n---\n", "has no description"),
    "a list as description": ("---\ndescription: [a]\n---\n", "needs text for description"),
    "an unknown key": (preset("sampilng:\n  top_k: 1"), "unknown key sampilng; did you mean sampling?"),
    "a far unknown key": (preset("zzz: 1"), "unknown key zzz; known are description, sampling, variables, model"),
    "an unknown sampling key": (preset("sampling:\n  temprature: 1"), "in sampling; did you mean temperature?"),
    "a seed": (preset("sampling:\n  seed: 1"), "unknown key seed in sampling"),
    "sampling as text": (preset("sampling: hot"), "lines under sampling"),
    "a word for a number": (preset("sampling:\n  temperature: hot"), "needs a number from 0 to 100 as temperature"),
    "a list for a number": (preset("sampling:\n  top_p: [1]"), "needs a number from 0 to 1 as top_p"),
    "endless lists for a number": (
        preset(f"sampling:\n  top_p: {nested_lists(12)}"),
        "needs a number from 0 to 1 as top_p",
    ),
    "not a number": (preset("sampling:\n  top_p: nan"), "needs a number from 0 to 1 as top_p"),
    "out of range": (preset("sampling:\n  min_p: 1.5"), "needs a number from 0 to 1 as min_p"),
    "half a token": (preset("sampling:\n  max_tokens: 1.5"), "needs a whole number from 1"),
    "no tokens": (preset("sampling:\n  max_tokens: 0"), "needs a whole number from 1"),
    "a huge number": (preset(f"sampling:\n  top_k: {'9' * 5000}"), "needs a whole number from 0"),
    "variables as list": (preset("variables: [a]", "{{a}}"), "lines under variables"),
    "a variable's name": (preset("variables:\n  a b: 1", "{{a b}}"), "has the variable a b"),
    "a variable's default": (preset("variables:\n  a: [1]", "{{a}}"), "needs text for the default of a"),
    "an unused variable": (preset("variables:\n  a: 1", "{{ a }}"), "{{a}} is not in its text"),
    "a model that is not a text": (preset("model: {a: b}"), "needs text for model"),
    "tools as keys": (preset("tools: {a: b}"), "needs a file, a name or a list of them for tools"),
    "a tool without a name": (preset("tools: ['']"), "needs a file, a name or a list of them for tools"),
    "a schema as keys": (preset("schema: {type: object}"), "needs text for schema"),
    "Python by YAML": (preset("model: !!python/object/apply:os.system [ls]"), "needs text for model"),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_file_says_what_is_wrong(write: Callable[..., None], text: str, expected: str) -> None:
    write(text)
    report = message(lambda: find_preset("mine"))
    assert expected in report
    assert "mine.md" in report and report.endswith("fix it: hermes presets edit mine")


def test_what_is_not_a_text_is_reported_at_once(own: Path, write: Callable[..., None]) -> None:
    write(b"\xff\xfe\x00GGUF")
    assert "mine.md is not UTF-8 text: line 1" in message(lambda: find_preset("mine"))
    write(b"---\ndescription: d\n---\n" + b"x" * (1 << 20))
    assert "mine.md is larger than 1024 KiB" in message(lambda: find_preset("mine"))
    (own / "folder.md").mkdir()
    assert "folder.md is a folder, not a file" in message(lambda: find_preset("folder"))
    os.mkfifo(own / "pipe.md")
    (own / "endless.md").symlink_to("/dev/zero")
    assert "pipe.md is not a regular file" in message(lambda: find_preset("pipe"))
    assert "endless.md is not a regular file" in message(lambda: find_preset("endless"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="{}[]:,-!&*#|>'\"%@`?~<= \n\tab1.\\") | st.text(alphabet=st.characters(codec="utf-8")))
def test_no_front_matter_brings_anything_but_a_usage_error(write: Callable[..., None], text: str) -> None:
    write(f"---\ndescription: d\n{text}\n---\n")
    try:
        assert find_preset("mine").description
    except UsageError as problem:
        assert problem.hint


@pytest.mark.parametrize(
    "name", ["", "..", "../default", "a/b", "/etc/passwd", "Default", ".hidden", "a.md", "-a", "é"]
)
def test_a_name_is_never_a_path(own: Path, name: str) -> None:
    assert "is not a valid preset name" in message(lambda: find_preset(name))
    assert "is not a valid preset name" in message(lambda: create(name, "x"))
    assert not own.exists()


def test_an_endless_name_is_not_a_name(own: Path) -> None:
    assert "is not a valid preset name" in message(lambda: find_preset("a" * 300))


def test_unknown_name_suggests_the_nearest(own: Path) -> None:
    assert "there is no preset sumarise | did you mean summarise?" in message(lambda: find_preset("sumarise"))
    assert "hermes presets list" in message(lambda: find_preset("zzzzzz"))


def test_the_users_preset_goes_before_the_bundled_one(own: Path, write: Callable[..., None]) -> None:
    write(preset("", "Mine."), "coder")
    assert (find_preset("coder").system_prompt, find_preset("coder").bundled) == ("Mine.", False)
    assert find_preset("shell").bundled
    assert preset_names() == BUNDLED


def test_all_presets_reports_unusable_ones(own: Path, write: Callable[..., None]) -> None:
    write(preset(""), "abc")
    write("broken", "json")
    write("not a preset", "README")
    presets, problems = all_presets()
    assert [each.name for each in presets] == sorted({"abc", *BUNDLED} - {"json"})
    assert ["json.md" in problem.message for problem in problems] == [True]


def test_a_new_preset_is_for_its_owner_only(own: Path) -> None:
    path = create("abc", preset(""))
    assert [oct(each.stat().st_mode & 0o777) for each in (path, own, own.parent)] == ["0o600", "0o700", "0o700"]
    assert "already exists | change it: hermes presets edit abc" in message(lambda: create("abc", "x"))
    assert path.read_text() == preset("")


def test_a_folder_that_cannot_be_made_is_reported(own: Path) -> None:
    own.parent.mkdir()
    own.write_text("a file in the way")
    assert "cannot write" in message(lambda: create("abc", "x"), OutputError)
    assert find_preset("coder").bundled


FULL_DISK = """
    import resource
    from hermes_cli.errors import OutputError
    from hermes_cli.store.presets.presets import create, find_preset
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, -1))
    try:
        create("coder", "---\\ndescription: mine\\n---\\n")
    except OutputError as error:
        print(error.message.rpartition(": ")[2], find_preset("coder").bundled)
"""


def test_a_full_disk_leaves_no_part_in_place_of_the_bundled_one(script: Script, own: Path) -> None:
    assert script(FULL_DISK).out == b"File too large True\n"


def test_undeclared_name_in_braces_is_reported(write: Callable[..., None]) -> None:
    write(preset("variables:\n  city:", "{{city}} {{citty}} {{tools}} {{citty}}"))
    found = find_preset("mine")
    assert found.undeclared == ("citty",)
    (notice,) = found.notices
    assert "has no variable citty" in notice and notice.endswith("did you mean city?")


def test_a_preset_that_replaces_a_bundled_one_says_so(write: Callable[..., None]) -> None:
    write(preset(""), "coder")
    write(preset(""), "mine")
    assert [find_preset(name).replaces_bundled for name in ("coder", "mine", "shell")] == [True, False, False]


def test_a_preset_may_ask_for_speculation(write: Callable[..., None]) -> None:
    write("---\ndescription: edits code\nspeculate: auto\n---\nEdit.\n")
    assert load_options(from_preset(find_preset("mine"), {})).speculate
    write("---\ndescription: edits code\nspeculate: off\n---\nEdit.\n")
    assert not load_options(from_preset(find_preset("mine"), {})).speculate
    write("---\ndescription: edits code\nspeculate: sometimes\n---\nEdit.\n")
    with pytest.raises(UsageError, match="needs auto or off as speculate"):
        find_preset("mine")
