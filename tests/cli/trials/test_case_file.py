"""The format of test cases: reading, errors, and which answers pass."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli.trials.case_file import preset_cases, read_cases
from hermes_cli.cli.trials.cases import Case
from hermes_cli.errors import UsageError
from hermes_cli.store.presets.presets import fill, find_preset, preset_names

Write = Callable[[str], list[Case]]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Reads a file with this text."""

    def written(text: str) -> list[Case]:
        (tmp_path / "cases.yaml").write_text(text)
        return read_cases(tmp_path / "cases.yaml")

    return written


@pytest.fixture
def judge(read: Write) -> Callable[[str, str], list[str]]:
    """The errors of an answer for this `expect`."""
    return lambda expect, answer: read(f"- {{prompt: x, expect: {expect}}}")[0].expected.faults(answer, [], {})


def test_every_key_is_read(read: Write, tmp_path: Path) -> None:
    first, second = read(
        """
preset: shell
tools: [calculate, own.py]
repeats: 3
cases:
  - prompt: no
    variables: {shell: fish, system: 1.10}
    expect: {contains: 5, not_contains: [a, 'b c'], regex: '^\\d', equals: yes, form: line}
  - prompt: y
    system: Be brief.
    tools: read_file
    schema: {type: object, properties: {age: {type: integer}}}
    repeats: 10
    pass_rate: 0.8
    expect: {json: {age: 31, ok: true, no: no, one: [1.5, null]}}
"""
    )
    assert (first.prompt, first.preset, first.system, first.repeats, first.pass_rate) == ("no", "shell", None, 3, 1)
    assert first.variables == {"shell": "fish", "system": "1.10"}
    assert first.tools == ("calculate", str(tmp_path / "own.py"))
    expected = first.expected
    assert (expected.contains, expected.not_contains, expected.equals) == (("5",), ("a", "b c"), "yes")
    assert ([one.pattern for one in expected.regex], expected.form) == (["^\\d"], "line")
    assert (second.preset, second.system, second.repeats, second.pass_rate) == (None, "Be brief.", 10, 0.8)
    assert second.tools == ("read_file",)
    assert second.schema == {"type": "object", "properties": {"age": {"type": "integer"}}}
    assert second.expected.json == ({"age": 31, "ok": True, "no": "no", "one": [1.5, None]},)


def test_calls_have_several_spellings(read: Write) -> None:
    texts = [
        "none",
        "[]",
        "get_date",
        "[get_date, {name: f, arguments: {x: 1}, schemas: {d: {minimum: 2}}}, {name: g, partial: true}]",
    ]
    cases = read("\n".join(f"- {{prompt: x, expect: {{calls: {text}}}}}" for text in texts))
    none, empty, one, several = (case.expected.calls for case in cases)
    assert none == empty == ()
    assert one and [(call.name, call.partial) for call in one] == [("get_date", True)]
    assert several and [(call.name, call.arguments, call.schemas, call.partial) for call in several] == [
        ("get_date", {}, {}, True),
        ("f", {"x": 1}, {"d": {"minimum": 2}}, False),
        ("g", {}, {}, True),
    ]
    assert [case.expected.only_calls for case in cases] == [True] * 4
    assert [case.groups for case in cases] == [("no call",), ("no call",), ("get_date",), ("get_date", "f", "g")]


FAULTS = [
    ("", "needs a list of cases"),
    ("cases: [", "is not valid YAML in line"),
    ("\udcff", "is not UTF-8"),
    ("- a", "needs `name: value` lines in case 1"),
    ("- {expect: {form: line}}", "has no prompt in case 1"),
    ("- {prompt: ' ', expect: {form: line}}", "has no prompt in case 1"),
    ("- {prompt: [a], expect: {form: line}}", "needs text for prompt of case 1"),
    ("- {prompt: x}", "needs expect with at least one of contains,"),
    ("- {prompt: x, expect: {}}", "needs expect with at least one of contains,"),
    ("- {prompt: x, expect: y}", "needs expect with at least one of contains,"),
    ("- {promt: x, expect: {form: line}}", "unknown key promt in case 1; did you mean prompt?"),
    ("- {prompt: x, expect: {contians: y}}", "unknown key contians in expect of case 1; did you mean contains?"),
    ("- {prompt: x, prompt: y, expect: {form: line}}", "a duplicate key"),
    ("- {prompt: x, expect: {contains: ''}}", "has an empty text as contains of case 1"),
    ("- {prompt: x, expect: {contains: []}}", "has an empty text as contains of case 1"),
    ("- {prompt: x, expect: {contains: [[a]]}}", "needs text for contains of case 1"),
    ("- {prompt: x, expect: {form: xml}}", "needs json, code or line as form of case 1"),
    ("- {prompt: x, expect: {regex: ['ok', '(a']}}", "has an invalid regular expression in case 1: missing )"),
    ("- {prompt: x, expect: {form: line}}\n- {prompt: y}", "in case 2"),
    ("- {prompt: x, preset: shell, system: s, expect: {form: line}}", "has both preset and system in case 1"),
    ("- {prompt: x, variables: {a: b}, expect: {form: line}}", "has variables without a preset in case 1"),
    ("- {prompt: x, repeats: 0, expect: {form: line}}", "needs a whole number from 1 to 1000 as repeats of case 1"),
    ("- {prompt: x, repeats: 1.5, expect: {form: line}}", "needs a whole number from 1 to 1000 as repeats of case 1"),
    ("- {prompt: x, repeats: true, expect: {form: line}}", "needs a whole number from 1 to 1000 as repeats of case 1"),
    ("- {prompt: x, pass_rate: 80, expect: {form: line}}", "needs a number from 0 to 1 as pass_rate of case 1"),
    ("- {prompt: x, schema: {type: txt}, expect: {form: line}}", "has an invalid schema in case 1"),
    ("- {prompt: x, expect: {calls: [none]}}", "has a call without the name of a tool in case 1"),
    ("- {prompt: x, expect: {calls: {arguments: {a: b}}}}", "has a call without the name of a tool in case 1"),
    ("- {prompt: x, expect: {calls: [[a]]}}", "needs the name of a tool, or none, as calls of case 1"),
    ("- {prompt: x, expect: {calls: {name: f, partial: 1}}}", "needs true or false as partial of case 1"),
    ("- {prompt: x, expect: {calls: {name: f, schemas: {a: {type: txt}}}}}", "has an invalid schema in case 1"),
    ("- {prompt: x, expect: {calls: {name: f, arguments: {a: b}, schemas: {a: {}}}}}", "has a both in arguments and"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_a_mistake_is_named_with_its_case(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        read_cases(path)
    assert message in caught.value.message and str(path) in caught.value.message
    assert "docs/testing.md" in caught.value.hint


@pytest.mark.parametrize(("name", "message"), [("none.yaml", "No such file"), (".", "is a folder, not a file")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_cases(tmp_path / name)


def test_a_json_file_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff[{"prompt": "x", "expect": {"json": {"a": [1, "1", "\\u00e9"]}}}]')
    (case,) = read_cases(tmp_path / "a.json")
    assert case.expected.json == ({"a": [1, "1", "é"]},)


JUDGED = {
    "all texts": ("{contains: [a, B]}", "b A", []),
    "case folding": ("{contains: STRASSE}", "die Straße", []),
    "a text is missing": ("{contains: [a, b, c]}", "c", ['the answer does not contain "a" or "b"']),
    "an unwanted text": ("{not_contains: [a, B, c]}", "bA", ['the answer contains "a" and "B"']),
    "a regex": ("{regex: ^ok$}", " ok \n", []),
    "a regex that does not match": ("{regex: [a, ^b]}", "ab", ["the answer does not match ^b"]),
    "deprecated regex syntax": ("{regex: '[[a]'}", "a", []),
    "equal text": ("{equals: 'Yes. '}", "\nYes.\n", []),
    "another text": ("{equals: yes}", "Yes", ['the answer is not "yes"']),
    "an equal value": ("{json: {a: 1, b: [true]}}", '{"b": [true], "a": 1.0}', []),
    "another value": ("{json: {a: 1}}", '{"a": true}', ['the answer is not {"a": 1}']),
    "null is a value": ("{json: null}", "0", ["the answer is not null"]),
    "no value": ("{json: 5}", "five", ["the answer is not JSON"]),
    "json": ("{form: json}", '\n{"a": [1, null]}\n', []),
    "a fence is not json": ("{form: json}", '```json\n{"a": 1}\n```', ["the answer is not JSON"]),
    "deep json": ("{form: json}", "[" * 100_000, ["the answer is not JSON"]),
    "NaN is not json": ("{form: json}", '{"a": NaN}', ["the answer is not JSON"]),
    "code": ("{form: code}", "Here:\n~~~\nx\n~~~", []),
    "no code": ("{form: code}", "Use `x`, or ```y```.", ["the answer has no code block"]),
    "a line": ("{form: line}", "ls -l\n", []),
    "two lines": ("{form: line}", "ls\n-l", ["the answer has more than one line"]),
    "no answer": ("{contains: a, form: json}", "", ['the answer does not contain "a"', "the answer is not JSON"]),
}


@pytest.mark.parametrize(("expect", "answer", "faults"), JUDGED.values(), ids=JUDGED.keys())
def test_an_answer_is_judged(
    judge: Callable[[str, str], list[str]], expect: str, answer: str, faults: list[str]
) -> None:
    assert judge(expect, answer) == faults


@given(answer=st.text())
def test_any_answer_can_be_judged(tmp_path_factory: pytest.TempPathFactory, answer: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text("- {prompt: x, expect: {form: line, contains: xyzzy}}")
    assert read_cases(path)[0].expected.faults(answer, [], {}) or "xyzzy" in answer.casefold()


def test_calls_are_matched_so_that_as_many_as_possible_fit(read: Write) -> None:
    calls = "[f, {name: f, schemas: {x: {minimum: 1}}}, {name: f, arguments: {x: 1}}]"
    (case,) = read(f"- {{prompt: p, expect: {{calls: {calls}}}}}")
    for order in itertools.permutations((1, 2, 0)):
        assert case.expected.faults("", [ToolCall("f", {"x": x}) for x in order], {"f": {}}) == []
    wrong = case.expected.faults("", [ToolCall("f", {"x": x}) for x in (1, 0, 0)], {"f": {}})
    assert wrong == ["x is 0, expected 1"]


@pytest.mark.parametrize("name", preset_names())
def test_every_bundled_preset_has_examples_that_empty_phrases_do_not_pass(name: str) -> None:
    preset, cases = find_preset(name), preset_cases(name)
    assert preset.bundled and cases
    for case in cases:
        fill(preset, case.variables)
        for answer in ("", "I do not know.", "As an AI language model, I cannot do that."):
            assert case.expected.faults(answer, [], {})
