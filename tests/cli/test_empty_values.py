"""An empty value of an option or argument is an error: it is usually a shell variable that is not set."""

from collections.abc import Iterator
from typing import Any

import pytest

from hermes_cli.cli.app import command
from hermes_cli.cli.commands import COMMANDS
from tests.cli.conftest import assert_failed
from tests.conftest import Hermes

TEXTS = {"prompt", "message", "system", "prefill", "text", "title", "value", "arguments"}


def parameters(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every option that takes a value and every argument, with the words of its command."""
    for param in group.params:
        if not getattr(param, "is_flag", False):
            yield words, param
    for name, inner in getattr(group, "commands", {}).items():
        yield from parameters(inner, (*words, name))


NAMED = [
    (words, param)
    for name in COMMANDS
    for words, param in parameters(command(name), (name,))
    if param.name not in TEXTS
]


@pytest.mark.parametrize(
    ("words", "param"), NAMED, ids=["-".join((*words, param.name or "")) for words, param in NAMED]
)
def test_every_named_value_is_refused_where_it_is_empty(
    words: tuple[str, ...], param: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from hermes_cli.cli.main import main

    is_argument = param.param_type_name == "argument"
    before = ["x"] * _place(words, param) if is_argument else [param.opts[0]]
    what = f"the argument {param.name.upper()}" if is_argument else param.opts[0]
    assert main([*words, *before, ""]) == 2
    out, err = capfd.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"error: {what} is empty")
    assert err.splitlines()[1].endswith(f"; see: hermes {' '.join(words)} --help")


def _place(words: tuple[str, ...], param: Any) -> int:
    """How many arguments come before this one."""
    found = command(words[0])
    for word in words[1:]:
        found = found.commands[word]
    arguments = [one.name for one in found.params if one.param_type_name == "argument"]
    return arguments.index(param.name)


def test_texts_may_be_empty_and_a_blank_may_end_an_answer(hermes: Hermes) -> None:
    shown = hermes("ask", "-m", "demo", "--dry-run", "-s", "", "Hi")
    assert (shown.code, shown.err) == (0, "15 tokens\n")
    assert shown.out.startswith(b"<|im_start|>system\n<|im_end|>")
    assert hermes("ask", "-m", "demo", "-t", "0", "--stop", " ", "What is 2 plus 3?").out == b"2\n"
    assert_failed(hermes("ask", "-m", " ", "Hi"), 2, "--model is empty")
    assert_failed(hermes("ask", "--stop", "a", "--stop", "", "Hi"), 2, "--stop is empty")


def test_an_empty_variable_is_one_that_is_not_set(hermes: Hermes) -> None:
    names = ("MODEL", "ENDPOINT", "PRESET", "TEMPERATURE", "CTX", "SAVE", "API_KEY", "DEBUG", "CONFIG_DIR")
    env: dict[str, str | None] = {f"HERMES_CLI_{name}": "" for name in names}
    env["HERMES_CLI_MODEL"] = "demo"
    plain = hermes("ask", "-t", "0", "--no-save", "What is 2 plus 3?", env=env)
    assert (plain.out, plain.err) == (b"2 plus 3 is 5.\n", "")
