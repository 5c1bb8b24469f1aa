"""The examples of a preset: how they are written, their faults, and what counts as a right answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli import paths
from hermes_cli.errors import UsageError
from hermes_cli.store.presets.examples import Example, parsed_examples
from hermes_cli.store.presets.presets import fill, find_preset, preset_names

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Makes the user's preset `mine` with these examples; it has a variable with and one without a default."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    paths.config_folder.cache_clear()
    paths.prompts_folder().mkdir(parents=True)

    def written(examples: str) -> None:
        front = f"description: mine\nvariables:\n  who:\n  tone: warm\nexamples:{examples}"
        (paths.prompts_folder() / "mine.md").write_text(f"---\n{front}\n---\nHelp {{{{who}}}}, be {{{{tone}}}}.\n")

    yield written
    paths.config_folder.cache_clear()


def test_every_key_of_an_example_is_read(write: Write) -> None:
    write(
        "\n  - input: no\n    variables: {who: me, tone: '1.10'}\n    contains: 5\n    not_contains: [a, 'b c']\n"
        "    matches: '^\\d'\n    form: line\n  - {input: x, variables: {who: you}, matches: [a, b]}"
    )
    first, second = find_preset("mine").examples
    assert (first.input, first.variables) == ("no", {"who": "me", "tone": "1.10"})
    assert (first.contains, first.not_contains, first.form) == (("5",), ("a", "b c"), "line")
    assert [pattern.pattern for pattern in (*first.matches, *second.matches)] == ["^\\d", "a", "b"]
    assert fill(find_preset("mine"), second.variables) == "Help you, be warm."


def test_a_preset_needs_no_examples(write: Write) -> None:
    write("")
    assert find_preset("mine").examples == ()


WHO = "    variables: {who: me}\n"
FAULTS = {
    "a text": (" hello", "needs a list as examples, each beginning with `- input:`"),
    "one without its dash": ("\n  input: x\n  contains: y", "needs a list as examples"),
    "a list of texts": ("\n  - hello", "needs `name: value` lines in example 1"),
    "an unknown key": (
        f"\n  - input: x\n{WHO}    contians: y",
        "unknown key contians in example 1; did you mean contains?",
    ),
    "no input": ("\n  - contains: y", "has no input in example 1"),
    "an empty input": ("\n  - input: ' '\n    contains: y", "has no input in example 1"),
    "an input of two": ("\n  - input: [a, b]\n    contains: y", "needs a text as input of example 1"),
    "no check": (f"\n  - input: x\n{WHO}", "says nothing of the answer in example 1; give contains, not_contains,"),
    "an undeclared variable": (
        "\n  - {input: x, contains: y, variables: {who: me, twho: z}}",
        "has no variable twho, which example 1 fills",
    ),
    "a missing variable": (
        "\n  - {input: x, contains: y}",
        "has no value for who in example 1; give it below variables",
    ),
    "variables as a text": ("\n  - {input: x, contains: y, variables: me}", "lines below variables of example 1"),
    "a variable as a list": (
        "\n  - {input: x, contains: y, variables: {who: [a]}}",
        "needs a text as who of example 1",
    ),
    "an empty check": (f"\n  - input: x\n{WHO}    contains: ''", "has an empty text as contains of example 1"),
    "a check in a check": (f"\n  - input: x\n{WHO}    contains: [[a]]", "needs a text as contains of example 1"),
    "an unknown form": (f"\n  - input: x\n{WHO}    form: xml", "needs json, code or line as form of example 1"),
    "no expression": (
        f"\n  - input: x\n{WHO}    matches: ['ok', '(a']",
        "has a regular expression that is none as matches of example 1: missing )",
    ),
    "the second": (f"\n  - input: x\n{WHO}    form: line\n  - input: y", "in example 2"),
}


@pytest.mark.parametrize(("examples", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_example(write: Write, examples: str, expected: str) -> None:
    write(examples)
    with pytest.raises(UsageError) as caught:
        find_preset("mine")
    assert expected in caught.value.message and "mine.md" in caught.value.message
    assert caught.value.hint == "fix it: hermes presets edit mine"


def example(**checks: object) -> Example:
    (made,) = parsed_examples([{"input": "x", **checks}], {})
    return made


JUDGED: dict[str, tuple[Example, str, list[str]]] = {
    "all texts": (example(contains=["a", "B"]), "b A", []),
    "other letters": (example(contains="STRASSE"), "die Straße", []),
    "a text is missing": (example(contains=["a", "b", "c"]), "c", ['does not contain "a" or "b"']),
    "an unwanted text": (example(not_contains=["a", "B", "c"]), "bA", ['contains "a" and "B"']),
    "a pattern": (example(matches="^ok$"), " ok \n", []),
    "no pattern": (example(matches=["a", "^b"]), "ab", ["does not match ^b"]),
    "an old way to write a pattern": (example(matches="[[a]"), "a", []),
    "json": (example(form="json"), '\n{"a": [1, null]}\n', []),
    "a number is json": (example(form="json"), "5", []),
    "a fence is not json": (example(form="json"), '```json\n{"a": 1}\n```', ["is not JSON and nothing else"]),
    "deep json": (example(form="json"), "[" * 100_000, ["is not JSON and nothing else"]),
    "NaN is not json": (example(form="json"), '{"a": NaN}', ["is not JSON and nothing else"]),
    "code": (example(form="code"), "Here:\n~~~\nx\n~~~", []),
    "no code": (example(form="code"), "Use `x`, or ```y```.", ["has no code block"]),
    "a line": (example(form="line"), "ls -l\n", []),
    "two lines": (example(form="line"), "ls\n-l", ["has more than one line"]),
    "no answer": (example(contains="a", form="json"), "", ['does not contain "a"', "is not JSON and nothing else"]),
}


@pytest.mark.parametrize(("judge", "answer", "faults"), JUDGED.values(), ids=JUDGED.keys())
def test_an_answer_is_judged(judge: Example, answer: str, faults: list[str]) -> None:
    assert judge.faults(answer) == faults


@given(answer=st.text())
def test_any_answer_can_be_judged(answer: str) -> None:
    assert example(not_contains=answer.strip() or "x", form="line").faults(answer) or not answer.strip()
    assert example(contains=answer.strip() or " ").faults(f"so {answer} .") == []


@pytest.mark.parametrize("name", preset_names())
def test_every_bundled_preset_has_examples_that_no_thoughtless_answer_passes(name: str) -> None:
    preset = find_preset(name)
    assert preset.bundled and preset.examples
    for given_example in preset.examples:
        fill(preset, given_example.variables)
        for answer in ("", "I do not know.", "As an AI language model, I cannot do that."):
            assert given_example.faults(answer)
