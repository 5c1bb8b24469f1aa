"""`hermes mcp` and `--mcp`: the real program with real servers."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import assert_failed
from tests.conftest import Hermes, Script
from tests.tools.test_mcp import http_server

pytest.importorskip("mcp")
SCRIPT = Path(__file__).parents[1] / "tools" / "mcp_server.py"
WELL = f"{sys.executable} {SCRIPT} well"
TIME = f"{sys.executable} -m mcp_server_time"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of this test."""
    file = tmp_path / "config" / "config.toml"
    file.parent.mkdir()
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(file.parent))
    return file


def configured(config: Path, behaviour: str = "well", more: str = "") -> None:
    arguments = json.dumps([str(SCRIPT), behaviour])
    config.write_text(f"[mcp.servers.mine]\ncommand = {json.dumps(sys.executable)}\nargs = {arguments}\n{more}\n")


def test_the_model_calls_a_tool_of_a_server(hermes: Hermes) -> None:
    pytest.importorskip("mcp_server_time")
    only = ("--tools-only", "get_current_time", "--tool-choice", "get_current_time", "--max-rounds", "1", "--yes")
    answer = hermes("ask", "-m", "demo", "-t", "0", "--mcp", TIME, *only, "--json", "Time in Europe/Oslo?")
    assert answer.code in (0, 6), answer
    call = json.loads(answer.out)["tool_calls"][0]
    assert call["name"] == "get_current_time"
    assert "1 tool: " in answer.err and "of the context" in answer.err


def test_the_model_calls_a_tool_for_files(hermes: Hermes, tmp_path: Path) -> None:
    if shutil.which("mcp-server-filesystem") is None:
        pytest.skip("mcp-server-filesystem is not installed")
    tool = "list_allowed_directories"
    only = ("--tools-only", tool, "--tool-choice", tool, "--max-rounds", "1", "--yes")
    server = f"mcp-server-filesystem {tmp_path}"
    answer = hermes("ask", "-m", "demo", "-t", "0", "--mcp", server, *only, "--json", "Which folders are there?")
    call = json.loads(answer.out)["tool_calls"][0]
    assert call["name"] == tool and str(tmp_path) in json.dumps(call["result"])
    assert "1 tool: " in answer.err


def test_without_consent_nothing_runs(hermes: Hermes) -> None:
    only = ("--tools-only", "act", "--tool-choice", "act", "--max-rounds", "1")
    answer = hermes("ask", "-m", "demo", "-t", "0", "--mcp", WELL, *only, "Do it.")
    assert answer.code == 6 and "--yes" in answer.err


def test_a_server_that_fails_is_an_error_only_where_ask_names_it(hermes: Hermes, config: Path) -> None:
    exits = f"{sys.executable} {SCRIPT} exits"
    answer = hermes("ask", "-m", "demo", "-n", "5", "--mcp", exits, "--tools-only", "act", "Hello")
    assert_failed(answer, 6, "the MCP server mcp cannot be used: ended with exit code 1: no cheese here")
    skipped = "MCP server mcp skipped: ended with exit code 1: no cheese here"
    chat = hermes("chat", "-m", "demo", "-n", "5", "--mcp", exits, stdin="Hello\n")
    assert (chat.code, skipped in chat.err) == (0, True)
    preset = config.parent / "prompts" / "odd.md"
    preset.parent.mkdir()
    preset.write_text(f"---\ndescription: d\nmcp: {exits}\n---\n")
    by_preset = hermes("ask", "-m", "demo", "-n", "5", "-p", "odd", "Hello")
    assert (by_preset.code, skipped in by_preset.err) == (0, True)


def test_commands(hermes: Hermes, config: Path) -> None:
    assert "no MCP servers are configured" in hermes("mcp").err
    configured(config)
    assert hermes("mcp", "list").out.decode() == f"mine\tstdio\t{WELL}\n"
    assert hermes("mcp", "test", "mine").out.startswith(b"mine: works\n  test 1.0, protocol 2025-")
    assert json.loads(hermes("mcp", "show", "mine", "--json").out)[0]["name"] == "echo"
    assert hermes("mcp", "run", "mine", "echo", "text=hi").out == b'"hi"\n'


def test_resources_and_prompts(hermes: Hermes, config: Path) -> None:
    configured(config)
    shown = hermes("mcp", "show", "mine").out.decode()
    assert '\n  text: {"type": "string"}\n' in shown
    assert "\n  mcp:mine/note://1  A note.\\u001b[2J\n  mcp:mine/note://{number}  notes\n" in shown
    assert "\n  mine:write topic [style]  write\n" in shown
    filled = hermes("ask", "-m", "demo", "--dry-run", "-p", "mine:write", "--var", "topic=cheese", "Go.")
    assert b"system\nWrite about cheese.\\u001b[2J<|im_end|>" in filled.out and "tokens" in filled.err


def test_a_resource_is_attached(hermes: Hermes, config: Path) -> None:
    configured(config)
    asked = hermes("ask", "-m", "demo", "--dry-run", "-f", "mcp:mine/note://1", "What?")
    assert b'What?\n\n<file name="mcp:mine/note://1">\nBuy milk.\\u202e\n</file>' in asked.out and "tokens" in asked.err
    lines = b"/attach mcp:mine/note://1\n/attach\n"
    assert "mcp:mine/note://1" in hermes("chat", "-m", "demo", "--no-save", stdin=lines).err


def test_mistakes_about_resources(hermes: Hermes, config: Path) -> None:
    configured(config)
    ask = ("ask", "-m", "demo", "Hello", "-f")
    assert_failed(hermes(*ask, "mcp:mine/note://2"), 2, "cannot read note://2", "no such note")
    assert_failed(hermes(*ask, "mcp:mine"), 2, "not mcp:NAME/URI")
    assert_failed(hermes(*ask, "mcp:other/x"), 2, "no MCP server other")


def test_mistakes_about_prompts(hermes: Hermes, config: Path) -> None:
    configured(config)
    ask = ("ask", "-m", "demo", "Hello", "-p")
    assert_failed(hermes(*ask, "mine:write"), 2, "needs a value for topic")
    assert_failed(hermes(*ask, "nowhere:write"), 2, "no MCP server nowhere")


def test_claims_of_a_server_are_shown_and_its_escapes_are_not_sent_to_the_terminal(hermes: Hermes) -> None:
    shown = hermes("mcp", "show", f"{sys.executable} {SCRIPT} injected").out
    assert b"the server claims read_only_hint: true" in shown
    assert b"\x1b" not in shown and rb"\u001b[2J" in shown


def test_mistakes(hermes: Hermes, config: Path) -> None:
    assert_failed(hermes("mcp", "test", "nowhere"), 2, "no MCP server nowhere")
    assert_failed(hermes("mcp", "test", "http://example.org/mcp"), 2, "not encrypted")
    assert_failed(hermes("mcp", "test", "https://me:secret@example.org/mcp"), 2, "password")
    assert_failed(hermes("mcp", "run", WELL, "ecko"), 2, "no tool ecko")
    assert_failed(hermes("mcp", "run", f"{sys.executable} {SCRIPT} fails", "act"), 6, "act: done")
    assert_failed(hermes("ask", "--mcp", WELL, "--tools-only", "nothing", "x"), 2, "--tools-only nothing")
    config.write_text("[mcp.servers.a]\ncomand = 'x'")
    assert_failed(hermes("mcp", "list"), 2, "has no key comand")


def test_import_takes_names_of_secrets_and_not_their_values(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    configured(config, more="# a comment")
    other = tmp_path / "mcp.json"
    servers = {
        "mine": {"command": "x"},
        "my files": {"command": "npx", "args": ["-y", "files", "/tmp"], "env": {"KEY": "s3cret"}},
        "hub": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer s3cret"}},
        "odd": {"program": "x"},
    }
    other.write_text(json.dumps({"mcpServers": servers}))
    notes = hermes("mcp", "import", other).err
    assert "mine skipped: a server of this name is configured already" in notes and "odd skipped" in notes
    assert "export KEY=..." in notes and "export HUB_AUTHORIZATION=..." in notes
    assert "s3cret" not in config.read_text() and "# a comment" in config.read_text()
    names = [line.split("\t")[0] for line in hermes("mcp", "list").out.decode().splitlines()]
    assert names == ["mine", "my-files", "hub"]


def test_an_import_of_odd_entries(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    odd = {
        "null": None,
        "number": {"command": 5},
        "args": {"command": "x", "args": "y"},
        "env": {"command": "x", "env": "KEY"},
        "variable": {"command": "x", "env": {"A B": "1"}},
        "headers": {"url": "https://e.org", "headers": {"A\n": "x"}},
        "nul": {"command": "x\0"},
        "url": {"url": "example.org/mcp"},
        "http": {"url": "http://example.org"},
        "sse": {"url": "https://e.org", "type": "sse"},
        "off": {"command": "x", "disabled": True},
    }
    good = {"../a b": {"command": "x", "args": ["--token=1"]}, "\x1b[2J/a": {"command": "y"}, "a b": {"command": "z"}}
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {**odd, **good}}))
    notes = hermes("mcp", "import", file).err
    assert [line.split()[0] for line in notes.splitlines() if " skipped: " in line] == list(odd)
    assert "a-b may have a secret in its arguments" in notes
    names = [line.split("\t")[0] for line in hermes("mcp", "list").out.decode().splitlines()]
    assert names == ["a-b", "2J-a", "a-b-2"]


def test_an_import_of_what_is_not_such_a_file(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    config.write_text("")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 10_000_000)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    for file, problem in ((config, "not JSON"), (large, "larger than"), (deep, "not JSON"), (tmp_path, "a folder")):
        assert_failed(hermes("mcp", "import", file), 2, problem)


def test_a_server_over_http(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    address = tmp_path / "address"
    process = http_server(address)
    try:
        config.write_text(
            f"[mcp.servers.web]\nurl = '{address.read_text()}'\nheaders = {{X-Api-Key = '${{WEB_KEY}}'}}\n"
        )
        result = hermes("mcp", "run", "web", "environment", env={"WEB_KEY": "k3y"})
        assert json.loads(result.out)["x-api-key"] == "k3y"
    finally:
        process.kill()
        process.wait()
    assert_failed(hermes("mcp", "test", "web", env={"WEB_KEY": "k3y"}), 6, "web does not work")


def test_a_session_saves_the_names_of_servers_and_starts_those_that_are_configured(
    hermes: Hermes, config: Path, tmp_path: Path
) -> None:
    configured(config)
    data = {"HERMES_CLI_DATA_DIR": str(tmp_path / "data")}
    only = ("--tools-only", "echo", "-n", "3")
    secret = f"{WELL} {tmp_path / 's3cret'}"
    first = hermes("ask", "-m", "demo", "--mcp", "mine", "--mcp", secret, "--tools-only", "*echo", "Hello", env=data)
    assert "2 tools: " in first.err
    (file,) = (tmp_path / "data" / "sessions").glob("*.jsonl")
    assert json.loads(file.read_text().splitlines()[0])["mcp"] == ["mine", "mcp"]
    assert "s3cret" not in file.read_text()
    again = hermes("ask", "-c", *only, "Hello", env=data)
    assert again.code == 0 and "1 tool: " in again.err
    assert "used the MCP server mcp, which is not configured; give it again with --mcp" in again.err
    assert "mine  off" in hermes("chat", "-c", *only, stdin=b"/mcp mine off\n", env=data).err
    assert "tool" not in hermes("ask", "-c", "-n", "3", "Hello", env=data).err


def test_session_file_from_elsewhere_never_starts_a_program(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    header = {"hermes_session": 1, "id": "x", "created": None, "model": "demo", "mcp": [f"touch {made}", "http://a.b"]}
    session = tmp_path / "other.jsonl"
    session.write_text(json.dumps(header) + "\n")
    answer = hermes("ask", "--session", session, "-n", "3", "Hello")
    assert answer.code == 0 and "is not configured" in answer.err
    assert not made.exists()


def test_servers_in_the_chat(hermes: Hermes, config: Path) -> None:
    configured(config)
    lines = "/mcp\n/mcp mine on\n/tools\n/mcp mine off\n/tools\n/mcp mine\n"
    shown = hermes("chat", "-m", "demo", "--no-save", stdin=lines.encode()).err
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("mine ")] == [
        ["mine", "off"],
        ["mine", "on"],
        ["mine", "off"],
    ]
    assert "echo" in shown and "no tools" in shown and "/mcp NAME on, or /mcp NAME off" in shown


def test_a_chat_whose_only_server_is_missing(hermes: Hermes) -> None:
    chat = ("chat", "-m", "demo", "--no-save", "--mcp", f"{sys.executable} {SCRIPT} exits", "--tools-only", "echo")
    shown = hermes(*chat, stdin=b"/tools\n").err
    assert "skipped: ended with exit code 1: no cheese here" in shown and "no tools" in shown


def test_doctor_names_servers_that_cannot_start(hermes: Hermes, config: Path) -> None:
    configured(config, more='env = ["NOT_SET"]')
    assert "mine needs the variable NOT_SET" in hermes("doctor").out.decode()


def test_a_preset_names_servers(hermes: Hermes, config: Path) -> None:
    configured(config)
    preset = config.parent / "prompts" / "server.md"
    preset.parent.mkdir()
    preset.write_text("---\ndescription: With a server.\nmcp: mine\n---\nHelp.\n")
    answer = hermes("ask", "-m", "demo", "-n", "3", "-p", "server", "--tools-only", "echo", "Hello")
    assert answer.code == 0 and "1 tool: " in answer.err


@pytest.mark.parametrize("program", ["mcp-server-filesystem", "mcp-server-everything"])
def test_servers_of_node(hermes: Hermes, tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (tmp_path / "a.txt").write_text("hello")
    server = f"{program} {tmp_path}" if program == "mcp-server-filesystem" else f"{program} stdio"
    assert b"works" in hermes("mcp", "test", server).out
    if program == "mcp-server-filesystem":
        result = hermes("mcp", "run", server, "read_text_file", f"path={tmp_path}/a.txt")
        assert b"hello" in result.out
    else:
        assert b"4" in hermes("mcp", "run", server, "get-sum", "a=1", "b=3").out
        assert b"picture image/png" in hermes("mcp", "run", server, "get-tiny-image").out


def test_the_git_server(hermes: Hermes, tmp_path: Path) -> None:
    pytest.importorskip("mcp_server_git")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    server = f"{sys.executable} -m mcp_server_git"
    assert b"branch" in hermes("mcp", "run", server, "git_status", f"repo_path={tmp_path}").out


def test_ask_without_servers_imports_nothing_of_them(script: Script) -> None:
    program = """
import sys
from hermes_cli.cli.main import main
sys.argv = ["hermes", "ask", "-m", "demo", "-n", "3", "Hello"]
main()
loaded = [name for name in sys.modules if name.split(".")[0] in ("mcp", "mcp_types") or ".mcp" in name]
print(loaded)
"""
    assert script(program).out.decode().splitlines()[-1] == "[]"


def test_a_long_reason_ends_after_a_word(hermes: Hermes) -> None:
    reason = "Error: " + " ".join(f"word{number}" for number in range(200))
    words = reason.split()
    failing = shlex.join([sys.executable, "-c", f"import sys; sys.exit({reason!r})"])
    said = " ".join(hermes("mcp", "test", failing).err.split())
    shown = said.partition("exit code 1: ")[2].partition("…")[0].split()
    assert 20 < len(shown) < len(words)
    assert shown == words[: len(shown)]
    assert "…" in said
