"""`hermes config`: the real program, with a config.toml of each test's own."""

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from hermes_cli.store.settings.settings import KEYS
from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes, Result, child_environment

TEXT = "# mine\ntemperature = 0.3  # cool\nmodel = 'demo'\n"
NOT_TOML = "# mine\n\ncolor = always\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """config.toml, not there yet; children see it, this process does not."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config" / "config.toml"


@pytest.fixture
def write(file: Path) -> Callable[[str], None]:
    """Puts a text into config.toml."""

    def written(text: str) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    return written


def editor(tmp_path: Path, script: str) -> Mapping[str, str]:
    """EDITOR set to a program that runs `script` with the file as `path`."""
    program = tmp_path / "an editor.py"
    program.write_text(f"import sys, pathlib\npath = pathlib.Path(sys.argv[-1])\n{script}\n")
    return {"EDITOR": f"{sys.executable} {shlex.quote(str(program))}", "VISUAL": ""}


class Commands(Protocol):
    """Runs `hermes config` once for each line, in one process: exit codes, and all they print together."""

    def __call__(self, *lines: str, cwd: Path | None = None) -> tuple[list[int], str, str]: ...


@pytest.fixture
def commands(file: Path, tmp_path: Path) -> Commands:
    """Several commands in one process, to save start-up time."""

    def run(*lines: str, cwd: Path | None = None) -> tuple[list[int], str, str]:
        program = (
            "import json, shlex, sys\nfrom hermes_cli.cli.main import main\n"
            f"codes = [main(['config', *shlex.split(line)]) for line in {lines!r}]\n"
            f"open({str(tmp_path / 'codes')!r}, 'w').write(json.dumps(codes))"
        )
        command = [sys.executable, "-P", "-c", program]
        child = subprocess.run(command, capture_output=True, text=True, check=True, env=child_environment(), cwd=cwd)
        return json.loads((tmp_path / "codes").read_text()), child.stdout, child.stderr

    return run


def rows(result: Result) -> dict[str, tuple[str, str]]:
    """Value and origin by key, from `config show` in a pipe."""
    assert result.code == 0, result
    cells = (line.split("\t") for line in result.out.decode().splitlines())
    return {name: (value, origin) for name, value, origin in cells}


def test_show_reports_each_value_and_where_it_comes_from(
    hermes: Hermes, file: Path, write: Callable[[str], None]
) -> None:
    assert rows(hermes("config")) == {
        name: ("" if key.default is None else key.standard, "default") for name, key in KEYS.items()
    }
    write(TEXT)
    shown = hermes("config", "show", env={"HERMES_CLI_CTX": "512", "HERMES_CLI_MODEL": "other"})
    table = rows(shown)
    assert list(table) == list(KEYS)
    assert table["temperature"] == ("0.3", str(file))
    assert table["model"] == ("other", "HERMES_CLI_MODEL")
    assert table["ctx"] == ("512", "HERMES_CLI_CTX")
    assert table["save"] == ("true", "default")


def test_show_as_json_has_types_origins_and_what_is_allowed(
    hermes: Hermes, file: Path, write: Callable[[str], None]
) -> None:
    write(TEXT)
    report = json.loads(hermes("config", "show", "--json", env={"HERMES_CLI_SAVE": "off"}).out)
    assert list(report) == list(KEYS)
    assert report["temperature"] == {
        "value": 0.3,
        "origin": str(file),
        "default": "0.8",
        "allowed": "a number from 0 to 100",
        "help": "Randomness; 0 always picks the most likely token.",
    }
    assert (report["save"]["value"], report["save"]["origin"]) == (False, "HERMES_CLI_SAVE")
    assert (report["max_tokens"]["value"], report["max_tokens"]["origin"]) == (None, "default")


def test_show_is_a_table_on_a_terminal_and_harmless(on_terminal: OnTerminal, write: Callable[[str], None]) -> None:
    write('model = "red \u202e\u009b31m"\n')
    child = on_terminal("config")
    child.expect(r"setting +value +from\r\nmodel +red \ufffd31m +/")
    child.expect(r"max_tokens +until the context is full +default\r\n")
    assert exit_code(child) == 0


def test_get_prints_one_value(hermes: Hermes, commands: Commands, write: Callable[[str], None]) -> None:
    write(TEXT)
    assert commands("get temperature", "get save", "get max_tokens") == ([0, 0, 0], "0.3\ntrue\n\n", "")
    write(NOT_TOML)
    assert_failed(hermes("config", "get", "temperature"), 2, "is not TOML")


def test_set_and_unset_change_one_line(commands: Commands, file: Path, write: Callable[[str], None]) -> None:
    assert commands("set save off") == ([0], "", "")
    assert file.read_text() == "save = false\n"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (file, file.parent)] == [0o600, 0o700]
    write(TEXT)
    assert commands("set temperature 1", "path") == ([0, 0], f"{file}\n", "")
    assert file.read_text() == TEXT.replace("0.3", "1.0")
    codes, out, err = commands("set gpu_layers all", "unset temperature", "unset temperature", "unset modle")
    assert (codes, out) == ([0, 0, 2, 2], "")
    assert f"error: temperature is not set in {file}\n" in err
    assert "error: unknown setting modle\nhint: did you mean model?\n" in err
    assert file.read_text() == "# mine\nmodel = 'demo'\ngpu_layers = \"all\"\n"


def test_a_lower_limit_frees_the_disk_at_once(hermes: Hermes, file: Path, tmp_path: Path) -> None:
    entries = [tmp_path / "cache" / "kv" / f"{age}.kv" for age in (1, 2)]
    entries[0].parent.mkdir(parents=True)
    for age, entry in enumerate(entries):
        entry.write_bytes(bytes(1 << 20))
        os.utime(entry, (1000 + age, 1000 + age))
    env = {"HERMES_CLI_CACHE_DIR": str(tmp_path / "cache")}
    left = []
    for limit in ("2", "1", "0"):
        assert hermes("config", "set", "kv_store_mb", limit, env=env).code == 0
        left.append([entry.exists() for entry in entries])
    assert left == [[True, True], [False, True], [False, False]]
    assert hermes("config", "set", "kv_store_mb", "4000", env=env).code == 0
    with entries[0].open("wb") as large:
        large.truncate(3 << 30)  # a sparse file
    assert hermes("config", "unset", "kv_store_mb", env=env).code == 0
    assert not entries[0].exists()


def test_text_that_is_not_utf_8_cannot_be_kept(hermes: Hermes, file: Path) -> None:
    result = hermes("config", "set", "template", "no-\udcff.jinja")
    assert_failed(result, 2, f"template cannot be saved in {file}: its value is not UTF-8 text")
    assert not list(file.parent.glob("*"))


def test_a_setting_that_a_model_cannot_have_is_lowered_and_an_option_refused(hermes: Hermes, file: Path) -> None:
    assert hermes("config", "set", "ctx", "16384").code == 0
    result = hermes("ask", "-m", "demo", "-t", "0", "--no-save", "What is 2 plus 3?")
    note = f"ctx 16384 (in {file}) is more than this model was trained for; using 4,096\n"
    assert (result.code, result.out, result.err) == (0, b"2 plus 3 is 5.\n", note)
    refused = hermes("ask", "-m", "demo", "--no-save", "--ctx", "16384", "Hi")
    assert_failed(refused, 2, "--ctx 16384 is more than this model was trained for")


def test_set_checks_first(commands: Commands, file: Path) -> None:
    refused = {
        "temprature 1": ("unknown setting temprature", "did you mean temperature?"),
        "temperature -1": ('temperature cannot be "-1"', "use a number from 0 to 100"),
        "save maybe": ('save cannot be "maybe"', "use true or false"),
        "model ''": ('model cannot be ""', "use one line of text"),
        "preset codr": ("there is no preset codr", "did you mean coder?"),
        "preset ../x": (
            "../x is not a valid preset name",
            "use lower-case letters, digits, - and _; see: hermes presets list",
        ),
        "ctx": ("Missing argument 'VALUE'", "see the options: hermes config set --help"),
    }
    codes, out, err = commands(*(f"set {line}" for line in refused))
    assert (codes, out) == ([2] * len(refused), "")
    assert err == "".join(f"error: {error}\nhint: {hint}\n" for error, hint in refused.values())
    assert not file.exists()


def test_set_reports_what_keeps_it_from_counting(
    commands: Commands, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_CTX", "256")
    codes, _, err = commands("set ctx 512", "set template no.jinja", "set template chatml")
    assert codes == [0] * 3
    assert err == ("HERMES_CLI_CTX is set and overrides config.toml\nsaved, but there is no file no.jinja\n")
    assert file.read_text() == 'ctx = 512\ntemplate = "chatml"\n'


@pytest.mark.parametrize("name", ["nowhere", "nowhere.gguf", "./nowhere.gguf", "8b", "hf:a/b:Q4_K_M"])
def test_a_model_that_is_not_here_is_not_set(commands: Commands, file: Path, name: str) -> None:
    codes, _, err = commands(f"set model {name}")
    assert codes == [3] and err.startswith("error: ") and not file.exists()


def test_full_path_of_a_file_is_saved(commands: Commands, tmp_path: Path, demo_path: Path) -> None:
    (tmp_path / "demo").write_text("a file that is called like the demo model")
    (tmp_path / "my.gguf").symlink_to(demo_path)
    given = commands("set model ./my.gguf", "get model", "set model demo", "get model", cwd=tmp_path)
    assert given == ([0] * 4, f"{tmp_path / 'my.gguf'}\ndemo\n", "")


def test_edit_makes_a_first_file_and_keeps_none_without_a_change(hermes: Hermes, file: Path, tmp_path: Path) -> None:
    result = hermes("config", "edit", env=editor(tmp_path, "assert 'temperature' in path.read_text()"))
    assert (result.code, result.err) == (0, "not changed\n")
    assert not file.exists()
    script = "path.write_text(path.read_text().replace('# save = true', 'save = false'))"
    assert hermes("config", "edit", env=editor(tmp_path, script)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert hermes("config", "get", "save").out == b"false\n"
    file.write_text("")
    result = hermes("config", "edit", env=editor(tmp_path, "assert 'temperature' in path.read_text()"))
    assert (result.code, result.err) == (0, "not changed\n")


def test_edit_checks_what_was_written_and_opens_what_is_broken(
    hermes: Hermes, write: Callable[[str], None], file: Path, tmp_path: Path
) -> None:
    write(TEXT)
    result = hermes("config", "edit", env=editor(tmp_path, f"path.write_text({NOT_TOML!r})"))
    assert_failed(result, 2, "is not TOML", "line 3")
    assert file.read_text() == NOT_TOML
    assert_failed(hermes("config", "edit", env={"EDITOR": "", "VISUAL": ""}), 2, "no editor found")
    assert hermes("config", "edit", env=editor(tmp_path, f"path.write_text({TEXT!r})")).code == 0


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no TOML": (lambda file: file.write_text(NOT_TOML), "is not TOML: Invalid value (at line 3, column 9)"),
    "a folder": (lambda file: file.mkdir(), "is a folder, not a file"),
    "endless": (lambda file: file.symlink_to("/dev/zero"), "is not a regular file"),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_invalid_config_stops_answers_but_config_commands_still_work(
    hermes: Hermes, file: Path, make: Callable[[Path], object], message: str
) -> None:
    file.parent.mkdir()
    make(file)
    failed = hermes("ask", "-m", "demo", "Hi")
    assert_failed(failed, 2, message, str(file))
    if file.exists() and not file.is_file():
        assert f"hint: move it away: mv {file} {file}.old" in failed.err
    shown = hermes("config", "show")
    assert rows(shown).keys() == KEYS.keys()
    assert shown.err.startswith("skipped: ") and message in shown.err and shown.err.count("\n") == 1


def test_invalid_config_does_not_break_help_and_doctor(
    hermes: Hermes, file: Path, write: Callable[[str], None]
) -> None:
    write(NOT_TOML)
    assert_failed(hermes("chat", "-m", "demo"), 2, "is not TOML")
    for arguments in (["--version"], ["ask", "--help"], ["config", "path"], ["presets", "list"]):
        assert hermes(*arguments).code == 0
    sick = hermes("doctor")
    assert sick.code == 1
    assert "is not TOML: Invalid value (at line 3, column 9); fix it: hermes config edit" in sick.out.decode()
    write(TEXT)
    well = hermes("doctor", env={"HERMES_CLI_CTX": "512"})
    lines = [line.removeprefix("settings").strip() for line in well.out.decode().splitlines()]
    assert well.code == 0
    place = lines.index(str(file))
    assert lines[place + 1 : place + 4] == ["temperature = 0.3", "model = demo", "ctx = 512 (HERMES_CLI_CTX)"]


def test_what_is_wrong_in_a_variable_stops_answers_too(hermes: Hermes, file: Path) -> None:
    result = hermes("ask", "-m", "demo", "Hi", env={"HERMES_CLI_TEMPRATURE": "1"})
    assert_failed(result, 2, "the environment variable HERMES_CLI_TEMPRATURE is not a setting")
    assert "did you mean HERMES_CLI_TEMPERATURE?" in result.err
    assert_failed(hermes("ask", "Hi", env={"HERMES_CLI_KV_TYPE": "q4"}), 2, 'kv_type cannot be "q4" (in HERMES_CLI_KV')


def test_changes_at_the_same_time_all_count(start: Start, file: Path) -> None:
    changes = {"temperature": "0.1", "top_k": "7", "top_p": "0.5", "min_p": "0.1", "ctx": "512", "save": "off"}
    changes |= {"threads": "2", "history": "off", "vi_mode": "on", "color": "never"}
    children = [start("config", "set", name, value) for name, value in changes.items()]
    assert [(child.wait(60), child.communicate()[1]) for child in children] == [(0, b"")] * len(changes)
    lines = dict(line.split(" = ") for line in file.read_text().splitlines())
    assert lines.keys() == changes.keys()
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


def test_a_full_disk_leaves_the_file_as_it_was(
    shell: Callable[[str], Result], write: Callable[[str], None], file: Path
) -> None:
    write(TEXT)
    result = shell("ulimit -f 0; hermes config set save off")
    assert_failed(result, 1, "cannot write", "File too large")
    assert file.read_text() == TEXT
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


def test_looking_at_settings_loads_nothing_heavy(file: Path) -> None:
    code = (
        "import sys\nfrom hermes_cli.cli.main import main\nassert main(['config', 'get', 'ctx']) == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(child.stderr.split()) & {"llama_cpp", "tomlkit", "yaml", "rich", "prompt_toolkit", "numpy"}
