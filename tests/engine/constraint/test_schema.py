"""Schemas without a model: enforced completely or in part, refused, and the messages."""

from decimal import Decimal
from typing import Any

import pytest

from benchmarks.schemas import EVERYDAY, collection
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.constraint.compiler import bytes_tokenizer
from hermes_cli.engine.constraint.grammar import Plan
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.errors import UsageError

WEATHER = ToolSchema("get_weather", "d", {"type": "object", "properties": {"city": {"type": "string"}}})
ADD = ToolSchema("add", "d", {"properties": {"a": {"type": "integer"}}, "required": ["a"]})
HOSTILE = collection()


def planned(**wanted: Any) -> Plan:
    result = Planner().plan(GenerationRequest((Message("user", "x"),), **wanted))
    assert result is not None
    return result


def check_schema(schema: Any) -> tuple[str, ...]:
    """Notes on the parts of a schema that are not enforced. Raises UsageError."""
    return Planner().notes(schema)


def fits(grammar: str | None, text: str) -> bool:
    """Whether `text` as a whole is what the grammar describes."""
    from llguidance import LLMatcher

    assert grammar is not None
    matcher = LLMatcher(bytes_tokenizer(), grammar, log_level=0)
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_schemas_are_enforced_as_a_whole(name: str) -> None:
    assert check_schema(EVERYDAY[name]) == ()


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"dependencies": {"a": ["b"]}}, "dependencies"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"oneOf": [{"maximum": 9}, {"minimum": 5}]}, "oneOf"),
        ({"type": "string", "format": "colour"}, "the format colour, which is unknown"),
    ],
)
def test_what_cannot_be_enforced_is_named(schema: dict[str, Any], named: str) -> None:
    (note,) = check_schema(schema)
    assert note.startswith("not enforced during generation, only checked afterwards: ")
    assert named in note


def test_keywords_that_say_nothing_do_no_harm() -> None:
    schema = {"type": "array", "uniqueItems": False, "items": {"properties": {"uniqueItems": False}}}
    assert check_schema(schema) == check_schema(True) == ()


@pytest.mark.parametrize("step", [0.25, 0.05, 0.125, 0.01, 2.5, 12.75])
def test_multiples_are_written_with_as_few_decimals_as_they_have(step: float) -> None:
    schema = {"type": "object", "properties": {"v": {"type": "number", "multipleOf": step}}, "required": ["v"]}
    assert check_schema(schema) == ()
    grammar = planned(schema=schema).whole
    for factor in (*range(-3, 12), 40, 400):
        value = float(Decimal(str(step)) * factor)
        assert fits(grammar, f'{{"v": {value:g}}}') and fits(grammar, f'{{"v": {value}}}')
        assert not fits(grammar, f'{{"v": {value + step / 10}}}')


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"const": "a\0b"}, r'"a\u0000b"'),
        ({"enum": ["a\x7fb"]}, r'"a\u007fb"'),
        ({"type": "string", "pattern": r"^a\x01b$"}, r'"a\u0001b"'),
    ],
)
def test_characters_that_only_an_escape_can_spell_are_not_lost(schema: dict[str, Any], text: str) -> None:
    held = planned(schema=schema).whole
    assert fits(held, text) and not fits(held, '"ab"')


@pytest.mark.parametrize(
    ("schema", "written", "not_written"),
    [
        ({"type": "string"}, [r'"caf\u00e9"', r'"\u001b[0m"', r'"\ud83d\ude00"'], [r'"\ud83d"', r'"\ude00\ud83d"']),
        ({"type": "object"}, [r'{"caf\u00e9": "\u00e9"}'], [r'{"\ud83d": 1}']),
        ({"type": "string", "pattern": r"^\s$"}, [r'"\u000b"'], [r'"\u0001"']),
        *(
            ({"type": "string", "pattern": pattern}, ['"é"', r'"\t"'], [r'"\u0001"', r'"\u00e9"'])
            for pattern in ("^.$", r"^[^x]$", r"^[\s\S]$", r"^[^]$", r"^\D$", r"^[\W]$")
        ),
    ],
)
def test_escapes_that_texts_may_hold(schema: dict[str, Any], written: list[str], not_written: list[str]) -> None:
    result = planned(schema=schema)
    assert [text for text in written if not fits(result.whole, text)] == []
    assert [text for text in not_written if fits(result.whole, text)] == []


def test_an_optional_reference_to_what_nothing_satisfies_is_left_out() -> None:
    impossible = {"type": "object", "oneOf": [{"$ref": "#/$defs/kind"}, {"type": "string"}]}
    definitions = {"kind": {"enum": ["a", "b"]}, "impossible": impossible}
    properties = {"a": {"$ref": "#/$defs/impossible"}, "b": {"type": "integer"}}
    result = planned(schema={"type": "object", "properties": properties, "$defs": definitions})
    assert result.notes == ()
    assert fits(result.whole, '{"b": 1}') and not fits(result.whole, '{"a": {}, "b": 1}')


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("contradictory", "nothing can satisfy it: minimum (5) is greater than maximum (3)"),
        ("two types at once", "nothing can satisfy it: incompatible types"),
        ("no value", "nothing can satisfy it"),
        ("itself", "nothing can satisfy it: it must contain itself"),
        ("must hold itself", "nothing can satisfy it: it must contain itself"),
        ("in a circle", "nothing can satisfy it: it must contain itself"),
        ("no such type", "Invalid type: date"),
    ],
)
def test_unusable_files_are_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_schema(HOSTILE[name])
    assert caught.value.message.startswith("the schema cannot be used: ")
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("schema", [False, [], "x", {"const": float("nan")}, {"const": {1, 2}}])
def test_json_that_is_not_a_schema_is_refused(schema: Any) -> None:
    with pytest.raises(UsageError):
        check_schema(schema)


def test_a_schema_deeper_than_the_stack_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"items": schema}
    with pytest.raises(UsageError, match="nested too deeply"):
        check_schema(schema)
    endless: dict[str, Any] = {}
    endless["items"] = endless
    with pytest.raises(UsageError, match="nested too deeply"):
        check_schema(endless)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("look-ahead", "the pattern ^(?=.*a)b (look-around"),
        ("repeated repetition", "the pattern (.{1,1000}){1,1000} (it is too complex)"),
        ("long chain", "everything, as its references are nested too deeply"),
        ("many required", "an object with more than 2,000 keys"),
        ("many properties", "an object with more than 2,000 keys"),
        ("patterns that meet", "more than 5 patterns of one text"),
        ("large multiples", "multipleOf 9967"),
        ("very long", "minLength 1000000000"),
    ],
)
def test_keywords_the_compiler_cannot_handle_are_left_to_the_final_check(name: str, note: str) -> None:
    (found,) = check_schema(HOSTILE[name])
    assert found.removeprefix("not enforced during generation, only checked afterwards: ").startswith(note)


@pytest.mark.parametrize("name", ["nowhere", "elsewhere"])
def test_references_to_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"refers to {HOSTILE[name]['$ref'].removeprefix('#')}, which is not in it"):
        check_schema(HOSTILE[name])


def optional_keys(**limits: int) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, **limits}


@pytest.mark.parametrize("limits", [{"minProperties": 1}, {"maxProperties": 1}, {"minProperties": 2}])
def test_bounds_on_keys_beside_optional_ones_force_no_other_key(limits: dict[str, int]) -> None:
    result = planned(schema=optional_keys(**limits))
    assert fits(result.whole, '{"a": 1}') and fits(result.whole, '{"a": 1, "b": 2}')
    assert result.notes == (
        f"not enforced during generation, only checked afterwards: {next(iter(limits))} with optional properties",
    )


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({**optional_keys(minProperties=1), "additionalProperties": False}, '{"b": 1}', "{}"),
        ({"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1}, '{"x": null}', "{}"),
        ({"type": "string", "maxLength": 2.0}, '"ab"', '"abc"'),
        ({"type": "string", "pattern": r"^\d\w\s\W$"}, '"1a é"', '"१a é"'),
        ({"type": "string", "format": "ipv6"}, '"::ffff:192.168.0.1"', '"12345::"'),
        ({"type": "string", "format": "date"}, '"2024-02-29"', '"2023-02-29"'),
        ({"type": "string", "format": "json-pointer"}, '"/a~1b"', '"/a~2"'),
        ({"type": "string", "format": "date", "pattern": "^19"}, '"1999-01-01"', '"2000-01-01"'),
        ({"$id": "http://a.example/n", "type": "array", "items": {"$ref": "n"}}, "[[], [[]]]", "[1]"),
        (
            {"$id": "http://a.example/base", "$ref": "sub/a"}
            | {"$defs": {"a": {"$id": "sub/a", "$ref": "./b"}, "b": {"$id": "sub/b", "const": 1}}},
            "1",
            "2",
        ),
        ({"$defs": {"x": {"$anchor": "here", "const": 1}}, "items": {"$ref": "#here"}}, "[1]", "[2]"),
        ({"properties": {"a": True}, "unevaluatedProperties": False, "type": "object"}, '{"a": 1}', '{"b": 1}'),
        ({"type": "object", "propertyNames": {"pattern": "^x"}}, '{"x1": 1}', '{"y": 1}'),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": True}
            | {"type": "integer"},
            "4",
            "3",
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"const": 1}]}
            | {"additionalItems": False},
            "[1]",
            "[1, 1]",
        ),
    ],
)
def test_keywords_that_are_enforced_as_a_whole(schema: dict[str, Any], good: str, bad: str) -> None:
    result = planned(schema=schema)
    assert result.notes == ()
    assert fits(result.whole, good) and not fits(result.whole, bad)


@pytest.mark.parametrize(
    ("schema", "note"),
    [
        ({"patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 1}}}, "patternProperties"),
        (
            {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n", "minProperties": 1}}}}, "$ref": "#/$defs/n"},
            "keywords next to $ref",
        ),
        ({"type": "integer", "maximum": 2**70}, f"maximum {2**70}"),
        ({"const": 2**60 + 1}, "const"),
        ({"type": "number", "multipleOf": 0.1234567}, "multipleOf 0.1234567"),
    ],
)
def test_what_is_enforced_in_part_is_named(schema: dict[str, Any], note: str) -> None:
    assert check_schema(schema) == (f"not enforced during generation, only checked afterwards: {note}",)


def test_a_schema_that_constrains_nothing_is_reported() -> None:
    assert check_schema({"title": "T", "$defs": {"a": {"type": "string"}}}) == ("the schema allows any JSON value",)


def test_free_requests_have_no_plan() -> None:
    free = GenerationRequest((Message("user", "x"),))
    assert Planner().plan(free) is None
    assert Planner().plan(GenerationRequest(free.messages, tools=(WEATHER,), constrained=False)) is None


def test_tool_choices_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        planned(tools=(WEATHER, ADD), tool_choice="get_wether")
    assert caught.value.hint == "did you mean get_weather?"
    with pytest.raises(UsageError, match="needs tools"):
        planned(tool_choice="required")


CALLS = {
    '\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>': True,
    '\n{"arguments": {"a": 1}, "name": "add"}\n</tool_call>': True,
    '\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n': True,
    '\n{"name": "get_weather", "arguments": {}}\n</tool_call>': True,
    '\n{"name": "get_weather", "arguments": {"city": "</tool_call> é \\n"}}\n</tool_call>': True,
    '\n{"name": "add", "arguments": {"a": "1"}}\n</tool_call>': False,
    '\n{"name": "add", "arguments": {}}\n</tool_call>': False,
    '\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>': False,
    '\n{"name": "get_weather", "arguments": {"a": 1}}\n</tool_call>': False,
    '\n{"arguments": {"a": 1}, "name": "get_weather"}\n</tool_call>': False,
    '\n{"name": "other", "arguments": {}}\n</tool_call>': False,
    '\n{"name": "add", "arguments":{"a": 1}}\n</tool_call>': False,
    '\n{"name": "add", "arguments": {"a": 1}}\n</tool_call> and': False,
}


@pytest.mark.parametrize("text", CALLS)
def test_only_declared_calls_fit(text: str) -> None:
    offered = planned(tools=(WEATHER, ADD))
    assert fits(offered.call, text) is CALLS[text]
    assert offered.opening is None
    must = planned(tools=(WEATHER, ADD), tool_choice="required")
    assert fits(must.opening, f"<tool_call>{text}") is CALLS[text]
    assert not fits(must.opening, f"Well, <tool_call>{text}")


def test_a_named_tool_is_the_only_one() -> None:
    named = planned(tools=(WEATHER, ADD), tool_choice="add")
    assert fits(named.call, '\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>')
    assert not fits(named.call, '\n{"name": "get_weather", "arguments": {}}\n</tool_call>')
    assert planned(tools=(WEATHER,), tool_choice="none") == Plan()


def test_a_scratch_pad_may_come_first_where_the_prompt_asks_for_it() -> None:
    text = (
        '<scratch_pad>\nGoal: a < b\n</scratch_pad>\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    )
    assert not fits(planned(tools=(ADD,), tool_choice="required").opening, text)
    system = Message("system", "You must use <scratch_pad> </scratch_pad> XML tags.")
    asked = Planner().plan(GenerationRequest((system,), tools=(ADD,), tool_choice="required"))
    assert asked
    assert fits(asked.opening, text)
    assert fits(asked.opening, text.partition("</scratch_pad>\n")[2])


def test_with_a_schema_the_answer_is_json_or_calls() -> None:
    both = planned(tools=(ADD,), schema={"type": "integer"}).whole
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert fits(both, "5") and fits(both, call) and fits(both, f"{call}\n{call}")
    assert not fits(both, f"{call}5")
    assert not fits(planned(tools=(ADD,), schema={"type": "integer"}, tool_choice="none").whole, call)


def test_a_tool_whose_schema_cannot_be_held_can_still_be_called() -> None:
    odd = ToolSchema(
        "odd", "d", {"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}}, "required": ["a"]}
    )
    result = planned(tools=(odd, ADD))
    assert fits(result.call, '\n{"name": "odd", "arguments": {"a": 1}}\n</tool_call>')
    (note,) = result.notes
    assert note == (
        "arguments of odd are only checked after generation: "
        "nothing can satisfy it: required property 'a' is unsatisfiable"
    )


def test_names_with_quotes_and_references_are_spelled_right() -> None:
    parameters = {"$defs": {"c": {"enum": ["a"]}}, "properties": {'k"': {"$ref": "#/$defs/c"}}, "required": ['k"']}
    result = planned(tools=(ToolSchema('say "hi"', "d", parameters),))
    assert fits(result.call, '\n{"name": "say \\"hi\\"", "arguments": {"k\\"": "a"}}\n</tool_call>')
