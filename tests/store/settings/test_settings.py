"""Settings: the table, what each key takes, the file with its faults, and changes that leave the rest alone."""

import ast
import os
import re
import stat
import string
import tomllib
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hermes_cli
from hermes_cli import paths
from hermes_cli.chat.key import written
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling, decide
from hermes_cli.cli.config import _template
from hermes_cli.errors import HermesError, OutputError, UsageError
from hermes_cli.store.settings import config_file
from hermes_cli.store.settings.settings import KEYS, Settings, load_settings, read_settings

ROOT = Path(__file__).parents[3]
once_per_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where config.toml would be."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    return paths.config_file()


@pytest.fixture
def write(file: Path) -> Callable[[str | bytes], None]:
    """Puts a text into config.toml."""

    def written_down(text: str | bytes) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    return written_down


def report(action: Callable[[], object], kind: type[HermesError] = UsageError) -> str:
    """Sentence and hint of the error that `action` raises."""
    with pytest.raises(kind) as caught:
        action()
    assert not caught.value.message.endswith(".")
    return f"{caught.value.message} | {caught.value.hint}"


def test_the_table_and_the_values_are_one(file: Path) -> None:
    own = [each.name for each in fields(Settings)]
    assert [name for name in KEYS if name not in SAMPLING_KEYS] == [name for name in own if name in KEYS]
    assert SAMPLING_KEYS.keys() - KEYS.keys() == {"seed"}
    assert load_settings() == Settings()
    assert all(Settings().value(name) == key.default for name, key in KEYS.items())
    with pytest.raises(FrozenInstanceError):
        load_settings().save = False  # type: ignore[misc]


@pytest.mark.parametrize("name", KEYS)
def test_every_key_is_explained_and_takes_its_own_default_and_sample(name: str) -> None:
    key = KEYS[name]
    assert key.help.endswith(".") and "\n" not in key.help and len(key.help) < 80
    assert key.standard and key.allowed and key.sample is not None
    assert key.checked(key.sample) == key.sample
    assert key.from_text(written(key.sample)) == key.sample


def test_what_is_said_of_the_sampling_defaults_is_what_the_engine_does() -> None:
    values = decide(Sampling())
    for name in SAMPLING_KEYS.keys() - {"seed", "logit_bias"}:
        key = KEYS[name]
        assert key.sample == getattr(values, name) == key.from_text(key.standard)
        assert key.to_text(getattr(values, name)) == key.standard


def test_the_page_about_settings_has_the_table() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [f"| `{key.name}` | {key.allowed} | {key.standard} | {key.help} |" for key in KEYS.values()]
    assert "\n".join(rows) in page


def test_no_variable_of_the_program_is_taken_for_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """A new variable of the program that is not a setting must be listed in store.settings."""
    names = set()
    for module in Path(hermes_cli.__file__).parent.rglob("*.py"):
        texts = (node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant))
        names |= {
            name for text in texts if isinstance(text, str) for name in re.findall(r"HERMES_CLI_[A-Z_]*[A-Z]", text)
        }
    assert {"HERMES_CLI_DEBUG", "HERMES_CLI_CACHE_DIR"} <= names
    for name in names:
        monkeypatch.setenv(name, "demo" if name.endswith("_MODEL") else os.environ.get(name, "1"))
    _, problems = read_settings()
    assert [problem.message for problem in problems if "is not a setting" in problem.message] == []


def test_new_config_file_lists_every_setting_correctly(write: Callable[[str], None]) -> None:
    template = _template()
    write(template)
    assert load_settings() == Settings()
    write(re.sub(r"^# (?=[a-z_]+ = )", "", template, flags=re.MULTILINE))
    given = load_settings()
    assert set(given.origins) == set(KEYS)
    assert all(given.value(name) == key.sample for name, key in KEYS.items())


RIGHT: dict[str, tuple[str, str, Any]] = {
    "a text": ("model", '"Hermes 3"', "Hermes 3"),
    "a text of other letters": ("preset", '"schlüssel"', "schlüssel"),
    "a number": ("temperature", "0.25", 0.25),
    "a whole number for a number": ("temperature", "1", 1.0),
    "the least": ("repeat_penalty", "0.01", 0.01),
    "the most": ("top_k", "2147483647", 2147483647),
    "zero": ("top_k", "0", 0),
    "a choice": ("kv_type", '"q8_0"', "q8_0"),
    "a word for a number": ("gpu_layers", '"all"', "all"),
    "a number beside words": ("gpu_layers", "33", 33),
    "off": ("save", "false", False),
    "on": ("vi_mode", "true", True),
}


@pytest.mark.parametrize(("name", "text", "expected"), RIGHT.values(), ids=RIGHT.keys())
def test_valid_value_in_the_file_is_read(write: Callable[[str], None], name: str, text: str, expected: Any) -> None:
    write(f"{name} = {text}\n")
    found = load_settings()
    assert found.value(name) == expected and type(found.value(name)) is type(expected)
    assert found.origin(name) == str(paths.config_file())
    assert found.origin("ctx") == "default"


@pytest.mark.parametrize(("name", "text", "expected"), RIGHT.values(), ids=RIGHT.keys())
def test_variable_overrides_the_file(
    write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: Any
) -> None:
    write(f"{name} = {_other(name)}\n")
    variable = f"HERMES_CLI_{name.upper()}"
    monkeypatch.setenv(variable, text.strip('"'))
    found = load_settings()
    assert found.value(name) == expected and type(found.value(name)) is type(expected)
    assert found.origin(name) == variable
    monkeypatch.setenv(variable, "")
    assert load_settings().value(name) != expected


def _other(name: str) -> str:
    """Another value of that key, as TOML."""
    return {
        "model": '"x"',
        "preset": '"x"',
        "kv_type": '"f16"',
        "repeat_scope": '"all"',
        "presence_penalty": "1",
        "frequency_penalty": "1",
        "save": "true",
        "vi_mode": "false",
    }.get(name, "7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("YES", True),
        ("on", True),
        ("1", True),
        ("false", False),
        ("No", False),
        ("off", False),
        ("0", False),
    ],
)
def test_a_switch_is_turned_by_the_usual_words(monkeypatch: pytest.MonkeyPatch, text: str, expected: bool) -> None:
    monkeypatch.setenv("HERMES_CLI_SAVE", text)
    assert load_settings().save is expected


WRONG = {
    "a text for a number": ('temperature = "0.5"', 'temperature cannot be "0.5"', "use a number from 0 to 100"),
    "out of range": ("temperature = 300", "temperature cannot be 300", "use a number from 0 to 100"),
    "below": ("ctx = 63", "ctx cannot be 63", "use a whole number from 64"),
    "not a number": ("top_p = nan", "top_p cannot be nan", "use a number from 0 to 1"),
    "endless": ("temperature = inf", "temperature cannot be inf", "from 0 to 100"),
    "half a token": ("max_tokens = 1.5", "max_tokens cannot be 1.5", "use a whole number from 1"),
    "a switch for a number": ("top_k = true", "top_k cannot be true", "use a whole number"),
    "a number for a switch": ("save = 1", "save cannot be 1", "use true or false"),
    "a text for a switch": ('save = "yes"', 'save cannot be "yes"', "use true or false"),
    "no choice": (
        'kv_type = "q4"',
        'kv_type cannot be "q4"',
        "q4_0 or iq4_nl",
    ),
    "no choice of three": ('color = "blue"', 'color cannot be "blue"', "use auto, always or never"),
    "a number that is not a choice": ("color = 1", "color cannot be 1", "use auto, always or never"),
    "another word for a number": ('gpu_layers = "most"', 'cannot be "most"', "use auto or all or a whole number"),
    "a negative number": ("gpu_layers = -1", "gpu_layers cannot be -1", "from 0 to 10000"),
    "a list": ("model = ['a']", "model cannot be ['a']", "use one line of text"),
    "an empty text": ('model = ""', 'model cannot be ""', "use one line of text"),
    "two lines": (r'model = "a\nb"', "model cannot be", "use one line of text"),
    "a date": ("ctx = 2024-01-01", "ctx cannot be 2024-01-01", "use a whole number"),
    "a section": ("[sampling]\ntop_k = 1", "unknown setting sampling", "list them: hermes config show"),
    "a section of a known name": ("[model]\nname = 'a'", "model cannot be {'name': 'a'}", "use one line of text"),
    "an unknown key": ("temprature = 1", "unknown setting temprature", "did you mean temperature?"),
    "an endless key": (f"temperature{'e' * 50_000} = 1", "unknown setting temperatureeee", "hermes config"),
    "another case": ("Temperature = 1", "unknown setting Temperature", "did you mean temperature?"),
    "no quotes": ("color = always", "is not TOML: Invalid value (at line 1, column 9)", "text needs quotes"),
    "a key twice": ("ctx = 64\nctx = 65\n", "is not TOML: Cannot overwrite a value (at line 2", "hermes config edit"),
    "no value": ("\nctx =\n", "(at line 2", "hermes config edit"),
    "a number too long to read": (f"ctx = {'9' * 5000}", "is not TOML", "hermes config edit"),
    "a number out of all range": (f"ctx = {'9' * 500}", "ctx cannot be 9999", "use a whole number"),
    "deep nesting": ("ctx = " + "[" * 100_000, "config.toml", "hermes config edit"),
}


@pytest.mark.parametrize(("text", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_in_the_file_is_named(write: Callable[[str], None], text: str, message: str, hint: str) -> None:
    write(text)
    sentence = report(load_settings)
    assert message in sentence.partition(" | ")[0] and hint in sentence.partition(" | ")[2]
    assert str(paths.config_file()) in sentence and sentence.partition(" | ")[2].count("hermes config edit") == 1
    assert len(sentence) < 500


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("HERMES_CLI_TEMPERATURE", "hot", 'temperature cannot be "hot" (in HERMES_CLI_TEMPERATURE) | use a number'),
        ("HERMES_CLI_TEMPERATURE", "101", 'temperature cannot be "101" (in HERMES_CLI_TEMPERATURE) | use a number'),
        ("HERMES_CLI_SAVE", "perhaps", 'save cannot be "perhaps" (in HERMES_CLI_SAVE) | use true or false'),
        ("HERMES_CLI_CTX", "9" * 5000, "ctx cannot be"),
        ("HERMES_CLI_MODEL", " ", 'model cannot be " " (in HERMES_CLI_MODEL) | use one line of text'),
        (
            "HERMES_CLI_TEMPRATURE",
            "1",
            "HERMES_CLI_TEMPRATURE is not a setting | did you mean HERMES_CLI_TEMPERATURE?",
        ),
        ("HERMES_CLI_X", "1", "HERMES_CLI_X is not a setting | "),
    ],
)
def test_what_is_wrong_in_a_variable_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    assert message in report(load_settings)


def test_all_that_is_wrong_is_reported_and_the_rest_counts(
    write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("ctx = 1\nthreads = 2\nnope = 3\n")
    monkeypatch.setenv("HERMES_CLI_TOP_K", "x")
    monkeypatch.setenv("HERMES_CLI_TOP_P", "0.5")
    found, problems = read_settings()
    assert (found.ctx, found.threads, found.sampling.top_k, found.sampling.top_p) == (None, 2, None, 0.5)
    assert ["ctx" in problems[0].message, "nope" in problems[1].message, "top_k" in problems[2].message] == [True] * 3
    assert len(problems) == 3


def test_files_that_are_none_are_refused_at_once(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    target = tmp_path / "target"
    for make, message in (
        (lambda: file.mkdir(), "is a folder"),
        (lambda: os.mkfifo(file), "is not a regular file"),
        (lambda: file.symlink_to(file), "cannot read"),
        (lambda: file.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda: file.write_bytes(b"#" * (1 << 16) + b"\n"), "is larger than 64 KiB"),
        (lambda: file.write_bytes(b"ctx = 64\n\xff\xfe\x00GGUF"), "is not UTF-8 text: line 2"),
        (lambda: file.write_bytes(b"ctx = 64\n\x00"), "is not TOML"),
    ):
        make()
        assert message in report(load_settings) and message in report(lambda: config_file.put("save", True))
        file.rmdir() if file.is_dir() else file.unlink()
    file.symlink_to(target)
    assert load_settings() == Settings(), "a broken link counts as no file"


def test_a_file_that_may_not_be_read_is_reported(unprivileged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "config_folder", lambda: unprivileged)
    paths.config_file().write_text("ctx = 64")
    paths.config_file().chmod(0)
    assert "cannot read" in report(load_settings) and "Permission denied" in report(load_settings)


def test_a_file_from_another_system_is_read(write: Callable[[bytes], None]) -> None:
    write(b"\xef\xbb\xbfctx = 64\r\nsave = false\r\n")
    assert (load_settings().ctx, load_settings().save) == (64, False)


@once_per_example
@given(data=st.binary() | st.text(alphabet="ctxsave=[]{}'\"#.\n 0123\\").map(str.encode))
def test_no_file_brings_anything_but_problems(write: Callable[[bytes], None], data: bytes) -> None:
    write(data)
    found, problems = read_settings()
    assert problems or set(found.origins) <= set(KEYS)


COMMENTED = """\
# What I like.   \t

  temperature   =  0.3     # cool,  "really"
save=true# no spaces
\tmodel = 'a "quoted" one'  # single
# ctx = 1024
top_k = 0x10 # sixteen


kv_type = "f16"
# the end, without a newline"""


@pytest.mark.parametrize(
    ("name", "value", "before", "after"),
    [
        ("temperature", 0.7, "=  0.3     #", "=  0.7     #"),
        ("save", False, "save=true#", "save=false#"),
        ("model", "demo", """'a "quoted" one'""", '"demo"'),
        ("top_k", 5, "0x10", "5"),
        ("kv_type", "q8_0", '"f16"', '"q8_0"'),
    ],
)
def test_changing_a_key_keeps_the_rest_byte_for_byte(
    write: Callable[[str], None], file: Path, name: str, value: Any, before: str, after: str
) -> None:
    for text in (COMMENTED, COMMENTED.replace("\n", "\r\n")):
        write(text)
        config_file.put(name, value)
        assert COMMENTED.count(before) == 1
        assert file.read_bytes().decode().rstrip("\n") == text.replace(before, after)
        assert load_settings().value(name) == value


def test_a_new_key_comes_last_and_leaves_as_it_came(write: Callable[[str], None], file: Path) -> None:
    write(COMMENTED + "\n")
    config_file.put("ctx", 512)
    assert file.read_text() == f"{COMMENTED}\nctx = 512\n"
    assert config_file.remove("ctx") and not config_file.remove("ctx")
    assert file.read_text() == f"{COMMENTED}\n"
    assert config_file.remove("top_k")
    assert file.read_text() == COMMENTED.replace("top_k = 0x10 # sixteen\n", "") + "\n"


LINES = st.one_of(
    st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cs"]), max_size=12).map(lambda text: f"#{text}"),
    st.sampled_from(
        ["", "  ", "\t", "#", "# temperature = 1", "temperature = 0.5 # warm", " temperature=2", "save = true"]
    ),
    st.sampled_from(
        ['model = "x # y"  # z', 'model = """a"""', "preset='p'", '"ctx" = 64', "threads =\t4", "top_k=1_0"]
    ),
)


@once_per_example
@given(lines=st.lists(LINES, max_size=8), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_whatever_the_file_a_change_touches_one_line(
    write: Callable[[str], None], file: Path, lines: list[str], end: str, last: bool
) -> None:
    text = end.join(lines) + (end if last else "")
    write(text)
    if read_settings()[1]:
        return
    config_file.put("temperature", 0.25)
    after = file.read_bytes().decode().splitlines()
    kept = [line for line in text.splitlines() if not re.match(r"\s*temperature\s*=", line)]
    assert [line for line in after if not re.match(r"\s*temperature\s*=", line)] == kept
    assert load_settings().sampling.temperature == 0.25


@given(value=st.text(alphabet=string.printable + "äß漢🙂", min_size=1, max_size=20).filter(KEYS["model"].accepts))
@once_per_example
def test_every_text_comes_back_as_it_was_set(write: Callable[[str], None], value: str) -> None:
    write("# first\n")
    config_file.put("model", value)
    assert load_settings().model == value


def test_invalid_config_file_is_not_changed(write: Callable[[str], None], file: Path) -> None:
    write("ctx = \n")
    assert "is not TOML" in report(lambda: config_file.put("save", False))
    assert "is not TOML" in report(lambda: config_file.remove("ctx"))
    assert file.read_text() == "ctx = \n"


def test_unknown_key_can_be_unset_and_does_not_block_other_commands(write: Callable[[str], None], file: Path) -> None:
    write("temprature = 1\n[old]\nx = 1\n")
    config_file.put("save", False)
    assert tomllib.loads(file.read_text()) == {"temprature": 1, "save": False, "old": {"x": 1}}
    assert config_file.remove("temprature") and config_file.remove("old")
    assert load_settings().save is False


def test_the_file_is_for_its_owner_only_and_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    config_file.put("save", False)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (file, file.parent)] == [0o600, 0o700]
    target = tmp_path / "dotfiles.toml"
    file.replace(target)
    target.chmod(0o644)
    file.symlink_to(target)
    config_file.put("ctx", 64)
    assert file.is_symlink() and target.read_text() == "save = false\nctx = 64\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


def test_a_file_in_place_of_the_folder_holds_no_settings_and_takes_none(file: Path) -> None:
    file.parent.write_text("a file in the way")
    assert "cannot write" in report(lambda: config_file.put("save", False), OutputError)
    assert load_settings() == Settings()
