"""JSON tool files: each tool a command line, run in real children without a shell."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.tools.results import LIMIT_CHARACTERS
from hermes_cli.tools.toolbox import Toolbox
from tests.tools.conftest import Load, call

ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"
Write = Callable[..., Toolbox]


def entry(command: list[Any], properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A tool named `t`."""
    parameters = {"type": "object", "properties": properties or {}}
    function = {"name": "t", "description": "Do it.", "parameters": parameters}
    return {"type": "function", "function": function, "command": command, **more}


@pytest.fixture
def commands(tmp_path: Path, load: Load) -> Write:
    """Loads the JSON file of these entries."""

    def write(*entries: Any) -> Toolbox:
        path = tmp_path / "tools.json"
        path.write_text(json.dumps(entries))
        return load(str(path))

    return write


def test_arguments_are_whole_words(commands: Write) -> None:
    properties = {"text": {"type": "string"}, "count": {"type": "integer"}, "deep": {"type": "object"}}
    words = [sys.executable, "-c", ECHO, "--text={text}", ["-n", "{count}"], "{deep}", "a{{b}}", "$HOME; ls *"]
    toolbox = commands(entry(words, properties))
    given = "two words; $(rm -rf /) '\"`"
    assert call(toolbox, "t", text=given, count=-3, deep={"a": [1]}).value == [
        f"--text={given}",
        "-n",
        "-3",
        '{"a": [1]}',
        "a{b}",
        "$HOME; ls *",
    ]
    assert call(toolbox, "t").value == ["a{b}", "$HOME; ls *"]


def test_a_value_cannot_become_an_option(commands: Write) -> None:
    text = {"text": {"type": "string"}}
    open_end = commands(entry([sys.executable, "-c", ECHO, "{text}"], text))
    assert (
        call(open_end, "t", text="--help").error
        == "text must not begin with -: the command would take it for an option"
    )
    after_nothing = commands(entry([sys.executable, "-c", ECHO, "{a}{text}"], {"a": {"type": "string"}, **text}))
    assert "text must not begin with -" in str(call(after_nothing, "t", a="", text="--help").error)
    assert call(after_nothing, "t", a="x", text="--help").value == ["x--help"]
    dashed = commands(entry([sys.executable, "-c", ECHO, "{text}-x"], text))
    assert call(dashed, "t", text="").error == "text must not be empty: the command would take -x for an option"
    assert call(dashed, "t", text="a").value == ["a-x"]
    assert call(open_end, "t", text="a\0b").error == "text must not hold a NUL character"
    closed = commands(entry([sys.executable, "-c", ECHO, "--", "{text}"], text))
    assert call(closed, "t", text="--help").value == ["--", "--help"]


def test_null_is_dropped_unless_the_schema_allows_it(commands: Write) -> None:
    given = entry([sys.executable, "-c", ECHO, ["{a}"], ["{b}"]], {"a": {"$ref": "#/definitions/a"}, "b": True})
    given["function"]["parameters"]["definitions"] = {"a": {"type": ["string", "null"]}}
    assert call(commands(given), "t", a=None, b=None).value == ["null", "null"]
    given["function"]["parameters"]["definitions"] = {"a": {"type": "string"}}
    assert call(commands(given), "t", a=None, b=None).value == ["null"]


def test_arguments_can_go_to_stdin(commands: Write) -> None:
    code = "import json, sys; print(json.load(sys.stdin)['text'].upper())"
    toolbox = commands(entry([sys.executable, "-c", code], {"text": {"type": "string"}}, stdin="json"))
    assert call(toolbox, "t", text="a" * 10).value == "A" * 10
    assert call(toolbox, "t", text="a" * 300_000).value.startswith("AAA")


@pytest.mark.parametrize(
    ("code", "value", "error"),
    [
        ("print('plain text')", "plain text", None),
        ("print('{\"a\": NaN}')", {"a": "NaN"}, None),
        ("pass", "", None),
        ("import sys; print(open('/dev/tty'))", None, os.strerror(errno.ENXIO)),
        ("import sys; sys.exit('it broke')", None, "the command ended with exit code 1: it broke"),
        ("import os; os.kill(os.getpid(), 11)", None, "the command was killed by SIGSEGV"),
        ("import sys; sys.stdout.buffer.write(bytes(100))", None, "the command printed 100 bytes that are not text"),
        ("import time; print(1, flush=True); time.sleep(100)", None, "the call took longer than 1 s and was ended"),
        ("import os; os.fork() or __import__('time').sleep(100)", "", None),
        ("import sys; sys.stdin.read() or print('nothing')", "nothing", None),
    ],
)
def test_what_a_command_does_is_a_result(commands: Write, code: str, value: object, error: str | None) -> None:
    result = call(commands(entry([sys.executable, "-c", code])), "t", timeout_s=1 if "100" in code else 30)
    assert result.value == value
    assert (error is None) == (result.error is None)
    assert error is None or error in str(result.error)


def test_endless_output_is_cut_and_the_command_ended(commands: Write) -> None:
    value = call(commands(entry(["yes"])), "t").value
    assert (
        value
        == "y\n" * (LIMIT_CHARACTERS // 2) + f"\n[cut here: the output is longer than {LIMIT_CHARACTERS:,} characters]"
    )


def test_read_only_and_the_plain_form(commands: Write) -> None:
    plain = {"name": "now", "description": "Print\n the time.", "command": ["date"], "read_only": True}
    toolbox = commands(plain, entry(["date"]))
    tool = toolbox.tools["now"]
    assert (tool.read_only, tool.description, toolbox.tools["t"].read_only) == (True, "Print the time.", False)
    assert tool.parameters == {"type": "object", "properties": {}}
    assert "unknown key x" in str(call(toolbox, "now", x=1).error)


def test_program_next_to_the_tool_file_is_found(commands: Write, tmp_path: Path) -> None:
    program = tmp_path / "say.sh"
    program.write_text("#!/bin/sh\necho said\n")
    program.chmod(0o755)
    assert call(commands(entry(["./say.sh"])), "t").value == "said"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: "),
        ("[" * 10_000, "nested too deeply"),
        ("[]", "is not a list of tools"),
        ("3", "is not a list of tools"),
        ("[3]", "has something else than a tool as entry 1"),
        ('[{"comand": []}]', "has the unknown key comand in entry 1"),
        ('[{"name": "a b"}]', "needs a name"),
        ('[{"name": "t"}]', "needs a description for t"),
        (
            '[{"name": "t", "description": "D", "parameters": {"type": "string"}}]',
            'needs a schema with "type": "object"',
        ),
        (
            '[{"name": "t", "description": "D", "parameters": {"type": "object", "properties": 3}}]',
            "the parameters of t is not valid: properties must be an object, not 3",
        ),
        ('[{"name": "t", "description": "D"}]', "needs a command for t"),
        ('[{"name": "t", "description": "D", "command": "ls"}]', "needs a command for t"),
        ('[{"name": "t", "description": "D", "command": [3]}]', "needs a command for t"),
        ('[{"name": "t", "description": "D", "command": ["ls", "{x}"]}]', "uses {x}, which is not an argument"),
        ('[{"name": "t", "description": "D", "command": ["ls"], "stdin": true}]', 'allows only "json" as stdin of t'),
        ('[{"name": "t", "description": "D", "command": ["ls"], "read_only": 1}]', "needs true or false as read_only"),
        ('[{"name": "t", "description": "D", "command": ["no-such-program"]}]', "there is no program no-such-program"),
        (json.dumps([entry(["ls"], {"x": {}})]), "has no place in the command of t for x"),
        (json.dumps([entry(["{x}"], {"x": {}})]), "lets the model choose the program of t"),
        (json.dumps([entry(["ls"]), entry(["ls"])]), "has two tools named t"),
        (
            json.dumps([entry(["ls", "{x}"], {"x": {"$ref": "http://a/b"}})]),
            "refers to http://a/b, which is not in it; nothing is downloaded",
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, load: Load, content: str, message: str) -> None:
    path = tmp_path / "tools.json"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert message in caught.value.message
    assert caught.value.message.startswith("tools.json")
