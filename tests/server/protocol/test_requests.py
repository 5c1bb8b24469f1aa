"""Requests of the API as generation requests: what is understood, ignored, and refused."""

from typing import Any

import pytest

from hermes_cli.chat.message import Message
from hermes_cli.server.protocol.api_error import ApiError
from hermes_cli.server.protocol.fields import ChatRequest, CompletionRequest
from hermes_cli.server.protocol.requests import ParsedRequest, parse_chat, parse_completion, read_body

HI = [{"role": "user", "content": "Hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def chat(**fields: Any) -> ParsedRequest:
    return parse_chat(read_body(ChatRequest, {"messages": HI, **fields}))


def completion(**fields: Any) -> ParsedRequest:
    return parse_completion(read_body(CompletionRequest, fields))


def test_a_plain_chat() -> None:
    parsed = chat(temperature=0.5, max_tokens=9, seed=3, stop="end", repetition_penalty=1.2)
    (request,) = parsed.generations
    assert request.messages == (Message("user", "Hi"),)
    assert (request.sampling.temperature, request.sampling.seed, request.sampling.repeat_penalty) == (0.5, 3, 1.2)
    assert (request.max_tokens, request.stop, parsed.ignored) == (9, ("end",), ())


def test_the_new_length_field_wins() -> None:
    assert chat(max_tokens=9, max_completion_tokens=5).generations[0].max_tokens == 5


def test_fields_without_effect_are_reported() -> None:
    assert chat(user="me", made_up=1, reasoning_effort="low", seed=None).ignored == (
        "made_up",
        "reasoning_effort",
        "user",
    )


def test_content_parts_become_one_message() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat(messages=[{"role": "user", "content": parts}]).generations[0].messages == (Message("user", "ab"),)


def test_the_developer_role_is_the_system_role() -> None:
    parsed = chat(messages=[{"role": "developer", "content": "Be brief."}, *HI])
    assert parsed.generations[0].messages[0] == Message("system", "Be brief.")


def test_calls_and_results_take_the_trained_form() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"sky": "blue"}'},
    ]
    request = chat(messages=messages, tools=[WEATHER]).generations[0]
    system, _, said, result = request.messages
    assert "weather" in system.content and system.role == "system"
    assert said.content == '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    assert result == Message(
        "tool", '<tool_response>\n{"name": "weather", "content": {"sky": "blue"}}\n</tool_response>'
    )


def test_a_call_in_the_older_form_is_a_call() -> None:
    said = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    message = chat(messages=[*HI, said, {"role": "function", "name": "weather", "content": "blue"}])
    assert message.generations[0].messages[1].content.startswith('<tool_call>\n{"name": "weather"')


def test_a_field_without_a_value_is_not_refused() -> None:
    assert chat(messages=HI, suffix="", lora=[]).generations


def test_a_named_tool_is_the_choice() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    assert chat(tools=[WEATHER], tool_choice=choice).generations[0].tool_choice == "weather"
    assert chat(tools=[WEATHER], tool_choice="none").generations[0].tools == ()


def test_a_trailing_answer_is_continued_only_on_request() -> None:
    begun = [*HI, {"role": "assistant", "content": "Hel"}]
    assert chat(messages=begun, continue_final_message=True).generations[0].messages[-1] == Message("assistant", "Hel")
    assert chat(messages=begun).generations[0].messages[-2:] == (Message("assistant", "Hel"), Message("assistant", ""))


@pytest.mark.parametrize(
    "form",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
        {"json_schema": {"type": "object"}},
        {"guided_json": {"type": "object"}},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_every_way_to_ask_for_json(form: dict[str, Any]) -> None:
    assert chat(**form).generations[0].schema == {"type": "object"}


def test_integers_may_be_written_as_floats() -> None:
    assert chat(max_tokens=9.0).generations[0].max_tokens == 9
    with pytest.raises(ApiError):
        chat(max_tokens=9.5)


def test_ignored_options_of_a_stream_are_named() -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    assert chat(stream=True, stream_options=options).ignored == ("stream_options.continuous_usage_stats",)


def test_several_choices_have_several_seeds() -> None:
    assert [one.sampling.seed for one in chat(n=3, seed=7).generations] == [7, 8, 9]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": True}, "max_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"n": 99}, "n"),
        ({"logit_bias": {"foo": 0}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"stream_options": {}}, "stream_options"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"function": {"name": "other"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"json_schema": {"type": 5}}, "response_format"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"chat_template": "{{ x }}"}, "chat_template"),
    ],
)
def test_what_is_wrong_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        chat(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(("prompt", "count"), [("text", 1), ([1, 2, 3], 1), (["a", "b"], 2), ([[1, 2], [3]], 2)])
def test_prompts_in_every_form(prompt: Any, count: int) -> None:
    assert len(completion(prompt=prompt).prompts) == count
    assert len(completion(prompt=prompt, n=2).generations) == count * 2


def test_body_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(ApiError, match="JSON object"):
        read_body(ChatRequest, [1])
