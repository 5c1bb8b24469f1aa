"""JSON mode: the prompt of the model card, and the JSON in an answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.formats.json.mode import json_part, schema_prompt

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_prompt_is_the_model_cards() -> None:
    assert schema_prompt({"title": "Planet", "properties": {"name": {"type": "string"}}, "required": ["name"]}) == (
        "You are a helpful assistant that answers in JSON. Here's the json schema you must adhere to:\n"
        "<schema>\n"
        '{"title": "Planet", "properties": {"name": {"type": "string"}}, "required": ["name"]}\n'
        "</schema>"
    )


def test_letters_outside_ascii_stay_readable() -> None:
    assert '{"title": "Größe 大小"}' in schema_prompt({"title": "Größe 大小"})


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_schema_is_one_line_between_the_tags_and_reads_back_equal(schema: dict[str, object]) -> None:
    head, text, foot = schema_prompt(schema).rsplit("\n", 2)
    assert head.endswith("\n<schema>")
    assert foot == "</schema>"
    assert json.loads(text) == schema


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('Here:\n```json\n{"a": 1}\n```\nIs that right?', '{"a": 1}'),
        ("```\n[NaN]\n```", "```\n[NaN]\n```"),
        ("NaN", "NaN"),
        ("```\n[1e999]\n```", "```\n[1e999]\n```"),
        ('{"a": "```\\n1\\n```"}', '{"a": "```\\n1\\n```"}'),
        ("1 and 2", "1 and 2"),
        ("", ""),
    ],
)
def test_the_json_of_an_answer_is_all_of_it_or_its_first_code_block(answer: str, part: str) -> None:
    assert json_part(answer) == part
