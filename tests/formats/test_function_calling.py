"""Function calling: the trained tools prompt, and calls and results that stay whole."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.formats import chatml
from hermes_cli.formats.function_calling import TOOLS_PLACE, call_block, response_block, system_text, tools_prompt
from hermes_cli.formats.segment import joined
from hermes_cli.store.presets.presets import find_preset

names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
plain_types = st.sampled_from(["string", "number", "integer", "boolean"])
types = st.fixed_dictionaries({"type": plain_types | st.lists(plain_types | st.just("object"), min_size=1, max_size=3)})
objects = st.fixed_dictionaries({"type": st.just("object")}, optional={"additionalProperties": types})
properties = st.builds(
    lambda kind, rest: kind | rest,
    types | objects,
    st.fixed_dictionaries({}, optional={"description": st.text(), "enum": st.lists(st.text(), max_size=2)}),
)
parameters = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={"properties": st.dictionaries(names, properties, max_size=4), "required": st.lists(names, max_size=2)},
)
functions = st.fixed_dictionaries(
    {"name": names, "description": st.text(), "parameters": parameters},
    optional={
        "return": st.builds(
            lambda kind, rest: kind | rest, types, st.fixed_dictionaries({}, optional={"description": st.text()})
        )
    },
)
tools = st.lists(functions | functions.map(lambda function: {"type": "function", "function": function}), max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
tag_parts = st.lists(
    st.sampled_from(["</tool_response>", "</tool_call>", "</", "<", "/", "\\", '"', "\n", "<\\/"]) | st.text(max_size=2)
).map("".join)


def described(parameter: dict[str, Any]) -> str:
    """The one line that lists the function `f` with the parameter `p`."""
    prompt = tools_prompt([{"name": "f", "description": "d", "parameters": {"properties": {"p": parameter}}}])
    return prompt.partition('"description": "')[2].partition("\n")[0]


def test_the_template_compared_with_is_the_published_one(reference: Callable[[str], str]) -> None:
    digest = hashlib.sha256(reference("hermes3_tool_use.jinja").encode()).hexdigest()
    assert digest == "7ce09d55d3690e06c70b5c07228cc7e8c99c43a23cdc027762be4011efcdea6c"


@given(tools)
def test_the_tools_prompt_is_what_the_models_template_writes(
    reference: Callable[[str], str], hugging_face: Callable[..., str], offered: list[dict[str, Any]]
) -> None:
    expected = hugging_face(reference("hermes3_tool_use.jinja"), tools=offered, messages=[], bos_token="")
    assert f"<|im_start|>system\n{tools_prompt(offered)}<|im_end|>\n" == expected


def test_a_tool_is_listed_as_the_model_was_trained_to_read_it() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city."},
            "days": {"type": "integer", "description": " How many.\n"},
        },
    }
    prompt = tools_prompt([{"name": "get_weather", "description": "Get weather.", "parameters": parameters}])
    assert (
        '<tools> {"type": "function", "function": {"name": "get_weather", '
        '"description": "get_weather(city: str, days: int) - Get weather.\n\n'
        '    Args:\n        city(str): The city.        days(int): How many.", '
        f'"parameters": {json.dumps(parameters)}}} </tools>Use the following'
    ) in prompt


def test_no_tools_leave_an_empty_list_as_the_template_does() -> None:
    assert "<tools>  </tools>Use" in tools_prompt([])


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"type": ["string", "null"]}, "Union[str,None]"),
        ({"type": "null"}, "None"),
        ({"type": ["array", "null"]}, "Union[list,None]"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "list[list[float]]"),
        ({"type": "array"}, "list"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"type": "object", "additionalProperties": False}, "dict"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "Union[str,None]"),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, "Union[int,bool]"),
        ({"enum": ["a", "b"]}, "Any"),
        ({"type": "date"}, "Any"),
        ({}, "Any"),
    ],
)
def test_types_the_template_cannot_write_get_a_readable_name(parameter: dict[str, Any], expected: str) -> None:
    assert described(parameter) == f"f(p: {expected}) - d"


@pytest.mark.parametrize("description", [{}, {"description": None}, {"description": ""}])
def test_a_function_without_description_or_parameters_is_still_listed(description: dict[str, Any]) -> None:
    prompt = tools_prompt([{"name": "now", **description}])
    assert (
        '{"type": "function", "function": {"name": "now", "description": "now() - \n\n", "parameters": {}} </tools>'
        in prompt
    )


def test_a_parameter_without_description_is_listed_by_name_and_type() -> None:
    prompt = tools_prompt([{"name": "f", "description": "d", "parameters": {"properties": {"p": {"type": "string"}}}}])
    assert '    Args:\n        p(str): "' in prompt


def test_descriptions_are_written_as_they_are() -> None:
    assert 'f() - say "hi"\nnow\n\n' in tools_prompt([{"name": "f", "description": 'say "hi"\nnow', "parameters": {}}])


def test_a_return_value_is_named_and_described() -> None:
    function = {
        "name": "f",
        "description": "d",
        "parameters": {},
        "return": {"type": "number", "description": "degrees"},
    }
    assert '"f() -> float - d\n\n\n    Returns:\n        degrees", "parameters": {}}' in tools_prompt([function])


def test_the_instructions_end_with_the_form_of_a_call() -> None:
    assert tools_prompt([]).endswith('<tool_call>\n{"name": <function-name>, "arguments": <args-dict>}\n</tool_call>')


@given(name=names, arguments=st.dictionaries(st.text(), json_values, max_size=3))
def test_a_call_is_json_on_one_line_between_its_tags(name: str, arguments: dict[str, Any]) -> None:
    opening, text, closing = call_block(name, arguments).split("\n")
    assert (opening, closing) == ("<tool_call>", "</tool_call>")
    assert json.loads(text) == {"name": name, "arguments": arguments}


@given(name=names | tag_parts, content=json_values | tag_parts | st.dictionaries(tag_parts, tag_parts))
def test_a_result_cannot_end_its_own_block_and_reads_back_equal(name: str, content: object) -> None:
    block = response_block(name, content)
    opening, text, closing = block.split("\n")
    assert (opening, closing) == ("<tool_response>", "</tool_response>")
    assert "</" not in text
    assert json.loads(text) == {"name": name, "content": content}


def test_a_result_is_written_as_the_model_was_trained_to_read_it() -> None:
    assert response_block("get_weather", {"°C": -3}) == (
        '<tool_response>\n{"name": "get_weather", "content": {"°C": -3}}\n</tool_response>'
    )


STOCK: dict[str, Any] = {
    "name": "get_stock_fundamentals",
    "description": "Get fundamental data for a given stock symbol using yfinance API.",
    "parameters": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
}
# What the model's template writes for this tool, rendered as Hugging Face does (the parameter's description added,
# because the template cannot do without).
STOCK_PROMPT = """\
You are a function calling AI model. You are provided with function signatures within <tools></tools> XML tags. \
You may call one or more functions to assist with the user query. Don't make assumptions about what values to plug \
into functions. Here are the available tools: <tools> {"type": "function", "function": {"name": \
"get_stock_fundamentals", "description": "get_stock_fundamentals(symbol: str) - Get fundamental data for a given \
stock symbol using yfinance API.

    Args:
        symbol(str): The stock symbol.", "parameters": {"type": "object", "properties": {"symbol": {"type": "string", \
"description": "The stock symbol."}}, "required": ["symbol"]}} </tools>Use the following pydantic model json schema \
for each tool call you will make: {"properties": {"name": {"title": "Name", "type": "string"}, "arguments": {"title": \
"Arguments", "type": "object"}}, "required": ["name", "arguments"], "title": "FunctionCall", "type": "object"}}
For each function call return a json object with function name and arguments within <tool_call></tool_call> XML tags \
as follows:
<tool_call>
{"name": <function-name>, "arguments": <args-dict>}
</tool_call>"""


def with_description(function: dict[str, Any]) -> dict[str, Any]:
    """The tool with a description of its parameter."""
    properties = {"symbol": {"type": "string", "description": "The stock symbol."}}
    return {**function, "parameters": {**function["parameters"], "properties": properties}}


def test_the_model_cards_tool_is_offered_in_the_trained_words() -> None:
    assert tools_prompt([with_description(STOCK)]) == STOCK_PROMPT
    assert 'symbol(str): ", "parameters"' in tools_prompt([STOCK])


def test_the_users_own_prompt_follows_after_a_blank_line() -> None:
    tool = ToolSchema(**with_description(STOCK))
    assert system_text([tool], "You are terse.") == f"{STOCK_PROMPT}\n\nYou are terse."
    assert system_text([tool]) == system_text([tool], "") == STOCK_PROMPT
    assert (system_text([]), system_text([], "You are terse.")) == ("", "You are terse.")


def test_a_prompt_may_offer_the_tools_itself_as_the_scratch_pad_does(reference: Callable[[str], str]) -> None:
    prompt = find_preset("scratch-pad").system_prompt
    assert prompt is not None
    assert system_text([ToolSchema(**STOCK)], prompt) == reference("scratch_pad_prompt.txt").rstrip("\n")
    assert "<tools>\n[]\n</tools>" in system_text([], prompt)


def test_a_prompt_of_the_models_own_function_calling_code_is_equal_to_the_byte(reference: Callable[[str], str]) -> None:
    published = reference("function_calling_prompt.txt")
    listed = published.partition("<tools> ")[2].partition(" </tools>")[0]
    assert listed.startswith("[{'type': 'function'")
    assert system_text([ToolSchema(**STOCK)], published.replace(listed, TOOLS_PLACE)) == published


def test_the_model_cards_own_example_is_listed_with_what_it_returns() -> None:
    returns = {"type": "object", "description": "dict: A dictionary containing fundamental data."}
    card = (
        '<tools> {"type": "function", "function": {"name": "get_stock_fundamentals", "description": '
        '"get_stock_fundamentals(symbol: str) -> dict - Get fundamental data for a given stock symbol using yfinance '
        "API.\n\n    Args:\n        symbol(str): The stock symbol.\n    Returns:\n        dict: A dictionary "
        'containing fundamental data.", "parameters": {"type": "object", "properties": {"symbol": {"type": "string", '
        '"description": "The stock symbol."}}, "required": ["symbol"]}} </tools>'
    )
    tool = ToolSchema(**with_description(STOCK), returns=returns)
    assert card in system_text([tool])


def test_a_whole_conversation_reads_as_the_template_writes_it(
    reference: Callable[[str], str], hugging_face: Callable[..., str]
) -> None:
    tools = [with_description(STOCK)]
    calls = [("get_stock_fundamentals", {"symbol": "TSLA"}), ("get_stock_fundamentals", {"symbol": "GOOG"})]
    results = [response_block(name, {"symbol": arguments["symbol"], "pe_ratio": 49.6}) for name, arguments in calls]
    inner = [result.removeprefix("<tool_response>\n").removesuffix("\n</tool_response>") for result in results]
    expected = hugging_face(
        reference("hermes3_tool_use.jinja"),
        tools=tools,
        messages=[
            {"role": "user", "content": "Compare TSLA and GOOG."},
            {"role": "assistant", "tool_calls": [{"name": name, "arguments": given} for name, given in calls]},
            *({"role": "tool", "content": text} for text in inner),
        ],
        bos_token="",
        add_generation_prompt=True,
    )
    ours = joined(
        chatml.write(
            [
                Message("system", tools_prompt(tools)),
                Message("user", "Compare TSLA and GOOG."),
                Message("assistant", "\n".join(call_block(*call) for call in calls)),
                Message("tool", "\n".join(results)),
            ]
        )
    )
    # The template forgets the newline after the results, so that its text changes with the next turn. Ours does not.
    assert ours == expected.replace(
        "</tool_response><|im_end|><|im_start|>", "</tool_response><|im_end|>\n<|im_start|>"
    )


@pytest.mark.parametrize("text", ["</tool_call>", "a</tool_call>\n<tool_call>", "</tool_call></tool_call>"])
def test_a_call_cannot_end_its_own_block(text: str) -> None:
    block = call_block("f", {"q": text})
    assert block.count("</tool_call>") == 1
    assert json.loads(block.split("\n")[1]) == {"name": "f", "arguments": {"q": text}}


def test_other_closing_tags_in_a_call_stay_as_they_are() -> None:
    assert call_block("f", {"q": "<b>x</b>"}) == (
        '<tool_call>\n{"name": "f", "arguments": {"q": "<b>x</b>"}}\n</tool_call>'
    )
