"""`--endpoint`: the same commands with a server, here `hermes serve` on the demo model."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli import files, paths
from hermes_cli.remote.running import Running
from tests.cli.conftest import assert_failed
from tests.conftest import Hermes
from tests.remote.odd_server import Reply, events, odd_server
from tests.server.running_server import Server, serving

QUESTION, ANSWER = "What is 2 plus 3?", b"2 plus 3 is 5.\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_ask_answers_through_the_endpoint(hermes: Hermes, server: Server) -> None:
    assert hermes("ask", "--endpoint", server.url, "-t0", QUESTION).out == ANSWER


def test_chat_mode_says_what_it_does_to_control_text(hermes: Hermes, server: Server) -> None:
    chat = ("ask", "--endpoint", server.url, "--endpoint-mode", "chat", "-t0")
    assert hermes(*chat, QUESTION).out == ANSWER
    assert "zero-width" in hermes(*chat, "-n1", "What is <|im_end|>?").err


def test_the_variable_and_the_setting(hermes: Hermes, server: Server, tmp_path: Path) -> None:
    assert hermes("ask", "-t0", QUESTION, env={"HERMES_CLI_ENDPOINT": server.url}).out == ANSWER
    (tmp_path / "config.toml").write_text(f'endpoint = "{server.url}/v1/"\n')
    assert hermes("ask", "-t0", QUESTION, env={"HERMES_CLI_CONFIG_DIR": str(tmp_path)}).out == ANSWER


@pytest.mark.parametrize("arguments", [("-m", "work"), ("-m", "work/demo"), ("--endpoint", "work")])
def test_named_endpoints(hermes: Hermes, server: Server, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "config.toml").write_text(f'[endpoints.work]\nurl = "{server.url}"\nmodel = "demo"\n')
    assert hermes("ask", *arguments, "-t0", QUESTION, env={"HERMES_CLI_CONFIG_DIR": str(tmp_path)}).out == ANSWER


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "no url"),
        ('url = "x"\nkey = "s"', "no key"),
        ("url = 5", "must be text"),
        ('url = "x"\nmode = "y"', "mode"),
    ],
)
def test_a_wrong_table_is_named(hermes: Hermes, tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(f"[endpoints.work]\n{table}\n")
    assert_failed(hermes("ask", QUESTION, env={"HERMES_CLI_CONFIG_DIR": str(tmp_path)}), 2, "work", words)


def test_a_session_remembers_its_endpoint(hermes: Hermes, server: Server, tmp_path: Path) -> None:
    env = {"HERMES_CLI_DATA_DIR": str(tmp_path)}
    assert hermes("ask", "--endpoint", server.url, "-t0", QUESTION, env=env).out == ANSWER
    assert hermes("ask", "-c", "-t0", QUESTION, "-v", env=env).err.count(server.url) == 1


def test_a_session_of_a_model_here_continues_on_a_server_with_its_model(
    hermes: Hermes, server: Server, demo_path: Path, tmp_path: Path
) -> None:
    shutil.copy(demo_path, tmp_path / "other.gguf")
    assert hermes("ask", "-m", tmp_path / "other.gguf", "-t0", QUESTION).out == ANSWER
    assert hermes("ask", "-c", "--endpoint", server.url, "-t0", QUESTION).out == ANSWER


def test_tools_and_schemas(hermes: Hermes, server: Server) -> None:
    schema = '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}'
    result = hermes("ask", "--endpoint", server.url, "-t0", "--schema", schema, "Is it so?")
    assert json.loads(result.out)["ok"] in (True, False)


def test_map(hermes: Hermes, server: Server) -> None:
    result = hermes("ask", "--endpoint", server.url, "-t0", "--map", stdin=f"{QUESTION}\n{QUESTION}\n")
    assert [json.loads(line)["answer"] for line in result.out.splitlines()] == ["2 plus 3 is 5."] * 2
    assert result.err


def test_dry_run_shows_the_prompt_of_the_server(hermes: Hermes, server: Server) -> None:
    result = hermes("ask", "--endpoint", server.url, "--dry-run", QUESTION)
    assert b"<|im_start|>user" in result.out and "19 tokens" in result.err


def test_the_server_that_runs_here_is_found(hermes: Hermes) -> None:
    with serving() as running:
        result = hermes("ask", "--endpoint", "auto", "-v", "-t0", QUESTION)
        assert result.out == ANSWER and running.url.rpartition(":")[2] in result.err
    alone = hermes("ask", "--endpoint", "auto", "-v", "-t0", "-m", "demo", QUESTION)
    assert alone.out == ANSWER and "CPU" in alone.err


def test_a_killed_server_whose_process_id_is_in_use_again_is_not_found(hermes: Hermes) -> None:
    files.write_json(paths.server_file(), Running(os.getpid(), "http://127.0.0.1:9", "demo"))
    alone = hermes("ask", "--endpoint", "auto", "-v", "-t0", "-m", "demo", QUESTION)
    assert alone.out == ANSWER and "CPU" in alone.err


def test_extra_fields(hermes: Hermes, server: Server) -> None:
    assert hermes("ask", "--endpoint", server.url, "-t0", "--extra-body", '{"max_tokens": 1}', QUESTION).out == b"2\n"
    for body in ("x", '{"x": NaN}', '{"x": 1e999}'):
        assert_failed(hermes("ask", "--endpoint", server.url, "--extra-body", body, QUESTION), 2, "--extra-body")


def test_models_of_a_server(hermes: Hermes, server: Server) -> None:
    assert hermes("models", "--endpoint", server.url).out.startswith(b"demo\t")
    (model,) = json.loads(hermes("models", "list", "--endpoint", server.url, "--json").out)
    assert (model["name"], model["owner"]) == ("demo", "hermes")


def test_doctor_checks_a_server(hermes: Hermes, server: Server) -> None:
    facts = json.loads(hermes("doctor", "--endpoint", server.url, "--json").out)
    assert (
        facts["healthy"]
        and (facts["schema"], facts["tools"]) == ("enforced", "called")
        and facts["token_counts"] == "exact"
    )
    failed = hermes("doctor", "--endpoint", "127.0.0.1:9")
    assert failed.code == 3 and b"cannot reach" in failed.out


def test_unreachable_server_and_unknown_model_are_errors(hermes: Hermes, server: Server) -> None:
    assert_failed(hermes("ask", "--endpoint", "127.0.0.1:9", QUESTION), 3, "cannot reach 127.0.0.1:9")
    assert_failed(hermes("ask", "--endpoint", server.url, "-m", "other", QUESTION), 3, "no model other")
    assert_failed(hermes("ask", "--endpoint", "ftp://x", QUESTION), 2, "not an endpoint")
    assert_failed(hermes("ask", "--endpoint", "http://\u2603.com", QUESTION), 3, "is not a valid address")


def test_llama_cpp_is_not_imported(hermes: Hermes, server: Server) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from hermes_cli.cli.main import main\n"
        f"main(['ask', '--endpoint', {server.url!r}, '-t0', {QUESTION!r}])\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('llama_cpp', 'llguidance', 'numpy')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 plus 3 is 5.\n", "")


def test_model_changes_to_an_endpoint_and_back_in_a_chat(hermes: Hermes, server: Server, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[endpoints.work]\nurl = "{server.url}"\n')
    env = {"HERMES_CLI_CONFIG_DIR": str(tmp_path), "HERMES_CLI_DATA_DIR": str(tmp_path)}
    typed = f"/model work/demo\n{QUESTION}\n/show\n/model local/demo\n{QUESTION}\n/model work\n{QUESTION}\n"
    result = hermes("chat", "-t0", "-m", "demo", stdin=typed, env=env)
    assert result.out.count(ANSWER.strip()) == 3
    assert server.url in result.err + result.out.decode()
    saved = hermes("ask", "-c", "-t0", "-v", QUESTION, env=env)
    assert server.url in saved.err


def test_a_model_that_a_server_does_not_have_in_a_chat(hermes: Hermes, server: Server) -> None:
    assert_failed(hermes("chat", "--endpoint", server.url, stdin="/model other\n"), 3, "no model other")


def test_a_key_goes_only_to_a_server_that_the_user_chose(hermes: Hermes, tmp_path: Path) -> None:
    with odd_server() as server:
        finished = events({"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]})
        server.replies = [Reply(finished) for _ in range(3)]
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts" / "far.md").write_text(f"---\ndescription: d\nendpoint: {server.url}\n---\nBe brief.\n")
        env = {"HERMES_CLI_API_KEY": "sk-secret", "HERMES_CLI_CONFIG_DIR": str(tmp_path)}
        env["HERMES_CLI_DATA_DIR"] = str(tmp_path)
        for arguments in (("-p", "far"), ("--endpoint", server.url), ("-c",)):
            assert hermes("ask", *arguments, "--ctx", "999", QUESTION, env=env).out == b"ok\n"
        assert [headers.get("authorization") for headers in server.headers] == [None, "Bearer sk-secret", None]
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-secret" in path.read_bytes()]


def test_an_answer_that_breaks_off_is_printed_and_saved(hermes: Hermes, tmp_path: Path) -> None:
    with odd_server() as server:
        server.replies = [Reply(events({"choices": [{"delta": {"content": "a part"}}]}, done=False))]
        env = {"HERMES_CLI_DATA_DIR": str(tmp_path)}
        failed = hermes("ask", "--endpoint", server.url, "--ctx", "999", QUESTION, env=env)
    assert failed.code == 3 and "ended the answer early" in failed.err
    assert failed.out == b"a part\n"
    assert b"a part" in hermes("sessions", "show", env=env).out


def test_test(hermes: Hermes, server: Server, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(f"- prompt: {QUESTION}\n  expect: {{contains: '5'}}\n")
    assert hermes("test", str(cases), "--endpoint", server.url).code == 0


def test_a_field_that_is_dropped_is_reported(hermes: Hermes) -> None:
    with odd_server() as server:
        refused = Reply([b'{"error": {"message": "unknown", "param": "seed"}}'], 400, "application/json")
        finished = Reply(events({"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]}))
        server.replies = [refused, finished]
        result = hermes("ask", "--endpoint", server.url, "--ctx", "999", QUESTION)
    assert result.out == b"ok\n" and "does not take seed" in result.err


def test_a_timeout_ends_an_attempt_to_connect(hermes: Hermes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = hermes("ask", "--endpoint", address, "--timeout", "0.5", QUESTION)
    assert result.code == 124 and "--timeout" in result.err
