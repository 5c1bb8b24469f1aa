"""Constrained answers of the demo model: calls, tool choices, JSON, and all ways to end."""

import collections
import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.schemas import EVERYDAY, collection
from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling, decide
from hermes_cli.chat.tool_call import ToolCall, ToolSchema
from hermes_cli.engine.constraint.constraint import Constraint
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.constraint.vocabulary import Tables
from hermes_cli.engine.decoding import sampling
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.masked_sampler import tokens_in
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import system_text
from hermes_cli.formats.json.mode import schema_prompt
from hermes_cli.formats.tool_call_parser import ToolCallParser
from tests.engine.answers import GREEDY, Answer, assistant, user
from tests.gguf_copy import changed_copy

STOCK = ToolSchema(
    "get_stock_fundamentals",
    "Get fundamental data for a given stock symbol using yfinance API.",
    {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
)
WEATHER = ToolSchema(
    "get_weather",
    "Get the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
ADD = ToolSchema(
    "add_numbers",
    "Add two numbers.",
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
)
TOOLS = (WEATHER, ADD, STOCK)
HOT = 3.0
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def ask(backend: LocalBackend, *messages: Message, sampling: Sampling = GREEDY, **wanted: Any) -> Answer:
    request = GenerationRequest(messages, sampling, **{"max_tokens": 300, **wanted})
    return Answer(list(backend.generate(request, CancelToken())))


def asked(backend: LocalBackend, question: str, **wanted: Any) -> str:
    """The answer to a question, with three tools offered."""
    return ask(backend, Message("system", system_text(TOOLS)), user(question), tools=TOOLS, **wanted).text


def calls(text: str) -> list[ToolCall]:
    """The calls in an answer; nothing in it may be broken."""
    parser = ToolCallParser()
    events = parser.feed(text) + parser.finish()
    found = [event for event in events if not isinstance(event, str)]
    assert all(isinstance(event, ToolCall) for event in found), text
    return [event for event in found if isinstance(event, ToolCall)]


def check(call: ToolCall) -> None:
    """The call must be one of a declared tool with arguments of its schema."""
    tool = {tool.name: tool for tool in TOOLS}[call.name]
    jsonschema.validate(call.arguments, tool.parameters)
    assert set(call.arguments) <= set(tool.parameters["properties"])


def test_the_model_cards_call_is_written_in_the_trained_form(backend: LocalBackend) -> None:
    text = asked(backend, "Get the stock fundamentals for the symbol TSLA.")
    assert text == '<tool_call>\n{"name": "get_stock_fundamentals", "arguments": {"symbol": "TSLA"}}\n</tool_call>'


def test_two_calls_in_one_answer(backend: LocalBackend) -> None:
    text = asked(backend, "Get the weather for Oslo. Then get the weather for Rome.")
    assert calls(text) == [ToolCall("get_weather", {"city": "Oslo"}), ToolCall("get_weather", {"city": "Rome"})]
    assert text.count("</tool_call>\n<tool_call>") == 1


def test_text_without_a_call_stays_free(backend: LocalBackend) -> None:
    free = ask(backend, Message("system", system_text(TOOLS)), user("Hello, who are you?")).text
    assert asked(backend, "Hello, who are you?") == free
    assert "demo model" in free


@pytest.mark.parametrize("question", ["Hello, who are you?", "What is the weather in Oslo?"])
def test_a_required_call_is_made_whatever_was_asked(backend: LocalBackend, question: str) -> None:
    text = asked(backend, question, tool_choice="required")
    assert text.startswith("<tool_call>\n")
    for call in calls(text):
        check(call)


def test_a_named_tool_is_called(backend: LocalBackend) -> None:
    text = asked(backend, "What is the weather in Oslo?", tool_choice="add_numbers")
    assert {call.name for call in calls(text)} == {"add_numbers"}


def test_without_a_choice_no_call_opens(backend: LocalBackend) -> None:
    assert "<tool_call>" in asked(backend, "Add 3 and 4.")
    text = asked(backend, "Add 3 and 4.", tool_choice="none")
    assert text and "<tool_call>" not in text


def test_hot_calls_are_still_declared_calls(backend: LocalBackend) -> None:
    """At such a temperature free text is noise; the choice among allowed tokens is what keeps the calls whole."""
    complete = 0
    for seed in range(12):
        hot = Sampling(temperature=HOT, seed=seed)
        messages = (Message("system", system_text(TOOLS)), user("Add 3 and 4."))
        answer = ask(backend, *messages, sampling=hot, tools=TOOLS, tool_choice="required")
        assert re.match(r'<tool_call>\n\{"(name|arguments)": ', answer.text)
        before, closed, _ = answer.text.partition("\n</tool_call>")
        if closed:
            complete += 1
            (call,) = calls(before + closed)
            check(call)
    assert complete > 6


def test_unconstrained_the_model_may_write_anything(backend: LocalBackend) -> None:
    free = ask(backend, user("Hello"), tools=TOOLS, tool_choice="required", constrained=False).text
    assert free == ask(backend, user("Hello")).text


@pytest.mark.parametrize("name", EVERYDAY)
def test_every_answer_satisfies_its_schema(backend: LocalBackend, name: str) -> None:
    schema = EVERYDAY[name]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for seed, temperature in ((0, 0.8), (1, HOT)):
        sampling = Sampling(temperature=temperature, seed=seed)
        answer = ask(
            backend, Message("system", schema_prompt(schema)), user("An example."), sampling=sampling, schema=schema
        )
        if answer.finished.reason == "stop":
            jsonschema.validate(json.loads(answer.text), schema, format_checker=checker)
        assert answer.finished.reason == "stop" or temperature == HOT


def test_json_mode_fills_in_what_was_said(backend: LocalBackend) -> None:
    messages = (Message("system", schema_prompt(PERSON)), user("Anna is 34 years old."))
    assert ask(backend, *messages, schema=PERSON).text == '{"name": "Anna", "age": 34}'


def test_schema_is_enforced_even_if_the_prompt_does_not_mention_it(backend: LocalBackend) -> None:
    text = ask(backend, user("Hello, who are you?"), schema=PERSON).text
    jsonschema.validate(json.loads(text), PERSON)


def test_an_answer_under_a_schema_ends_with_the_value(backend: LocalBackend) -> None:
    for schema, text in (
        ({"const": {"a": [1, None]}}, '{"a": [1, null]}'),
        ({"enum": [12]}, "12"),
        ({"const": ""}, '""'),
    ):
        answer = ask(backend, user("x"), schema=schema)
        assert (answer.text, answer.finished.reason) == (text, "stop")


def test_number_does_not_exceed_the_largest_float(backend: LocalBackend) -> None:
    schema = {"type": "array", "items": {"type": "number"}, "minItems": 12, "maxItems": 12}
    exponents: list[str] = []
    for seed in range(16):
        text = ask(backend, user("1E333, 4e+444, 5E5555"), schema=schema, sampling=Sampling(3, seed=seed)).text
        exponents += re.findall(r"[eE][+-]?([0-9]+)", text)
        assert len(json.loads(text)) == 12
    assert exponents and all(len(digits) <= 2 for digits in exponents)


def test_a_number_does_not_continue_for_ever(backend: LocalBackend) -> None:
    for seed in range(8):
        text = ask(
            backend, user("4444444444444444444"), schema={"type": "number"}, sampling=Sampling(1.5, seed=seed)
        ).text
        assert max(len(digits) for digits in re.findall(r"[0-9]+", text)) <= 80
        json.loads(text)
    forty = {"type": "string", "pattern": "^[0-9]{90}$"}
    assert re.fullmatch(r'"[0-9]{90}"', ask(backend, user("x"), schema=forty).text)


def test_a_limit_cuts_and_says_so(backend: LocalBackend) -> None:
    answer = ask(backend, user("x"), schema=PERSON, max_tokens=3)
    assert answer.finished.reason == "length"
    assert '{"name": "'.startswith(answer.text[:9])
    cut = asked(backend, "Add 3 and 4.", max_tokens=12)
    parser = ToolCallParser()
    assert not any(isinstance(event, ToolCall) for event in parser.feed(cut) + parser.finish(ended=False))


def test_a_stop_string_ends_held_text_too(backend: LocalBackend) -> None:
    messages = (Message("system", schema_prompt(PERSON)), user("name: Anna, age: 34"))
    answer = ask(backend, *messages, schema=PERSON, stop=('"age"',))
    assert answer.finished.reason == "stop"
    assert answer.text == '{"name": "Anna", '


def test_a_cancel_ends_it_and_the_next_answer_is_whole(backend: LocalBackend) -> None:
    cancel = CancelToken()
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 500}
    events = []
    for event in backend.generate(GenerationRequest((user("x"),), GREEDY, schema=schema), cancel):
        events.append(event)
        if isinstance(event, TextDelta):
            cancel.cancel("test")
    assert Answer(events).finished.reason == "cancelled"
    assert ask(backend, user("x"), schema={"const": 1}).text == "1"


def test_prefilled_start_of_a_call_is_completed(backend: LocalBackend) -> None:
    messages = (Message("system", system_text(TOOLS)), user("Add 3 and 4."))
    for begun in ('<tool_call>\n{"name": "add_num', "<tool_call>", 'So: <tool_call>\n{"arguments": {"a": 3, "b'):
        for choice in ("auto", "required"):
            text = begun + ask(backend, *messages, assistant(begun), tools=TOOLS, tool_choice=choice).text
            (call,) = calls(text)
            check(call)
            assert call.name == "add_numbers"


def test_text_goes_on_after_a_tag_that_no_call_may_follow(backend: LocalBackend) -> None:
    messages = (Message("system", system_text(TOOLS)), user("Add 3 and 4."), assistant("<tool_call>\n"))
    given = ask(backend, *messages, tools=TOOLS, tool_choice="none", max_tokens=24)
    assert given.finished.usage.completion_tokens


def test_json_that_was_begun_is_finished(backend: LocalBackend) -> None:
    rest = ask(backend, user("x"), assistant('{"name": "Bo'), schema=PERSON).text
    jsonschema.validate(json.loads('{"name": "Bo' + rest), PERSON)
    assert ask(backend, user("x"), assistant('{"name": "Bo", "age": 1}'), schema=PERSON).text == ""
    with pytest.raises(UsageError, match="so far does not match"):
        ask(backend, user("x"), assistant("Well"), schema=PERSON)


def test_what_is_too_complex_is_found_before_the_model_is_asked(backend: LocalBackend) -> None:
    with pytest.raises(UsageError, match="it must contain itself"):
        ask(backend, user("x"), schema=collection()["must hold itself"])
    assert ask(backend, user("x"), schema=collection()["repeated repetition"], max_tokens=20).text.startswith('"')


def test_a_refused_schema_raises_before_the_first_event(backend: LocalBackend) -> None:
    request = GenerationRequest((user("x"),), schema=False)
    with pytest.raises(UsageError, match="false"):
        next(backend.generate(request, CancelToken()))


def test_the_same_seed_gives_the_same_answer(backend: LocalBackend) -> None:
    texts = {ask(backend, user("x"), schema=PERSON, sampling=Sampling(1.5, seed=5)).text for _ in range(3)}
    assert len(texts) == 1


def copied(demo_path: Path, folder: Path, **changes: Any) -> LocalBackend:
    """The demo model with other tokens."""
    return open_backend(changed_copy(demo_path, folder / "copy.gguf", **changes), LoadSettings(context_length=1024))


def test_tags_that_are_control_tokens_are_text(demo_path: Path, tmp_path: Path) -> None:
    types = {"<tool_call>": 3, "</tool_call>": 3}
    with copied(demo_path, tmp_path, token_types=types) as tagged:
        tables = Tables(tagged.model)
        (tag,) = (token for token, piece in enumerate(tables.tokens) if piece == b"</tool_call>")
        assert tables("}\n</tool_call>")[-1] == tag
        assert tag not in tables.special_token_ids
        check(calls(asked(tagged, "Add 3 and 4.", tool_choice="required"))[0])


class Driven:
    """A constraint on real parts whose free text is dictated token by token."""

    def __init__(self, backend: LocalBackend, choice: str) -> None:
        self.model, self.context = backend.model, backend.cache.context
        vocabulary, values = backend.vocabulary, decide(Sampling(temperature=0))
        planned = Planner().plan(GenerationRequest((user("x"),), tools=TOOLS, tool_choice=choice))
        assert planned
        self.constraint = Constraint(planned, vocabulary, self.model, self.context, values, lambda: True)
        self.text = b""
        self.context.keep(0)
        self.context.decode(self.model.tokenize("Some text."))

    def step(self, wanted: int = 0) -> int:
        """The next token, `wanted` where text is free."""
        bias = library.bindings().llama_logit_bias(wanted, 1e9)
        free = Sampler([("logit_bias", (self.model.vocab_size, 1, bias)), ("greedy", ())])
        token = self.constraint.choose(free)
        free.close()
        self.text += self.model.piece(token)
        self.context.decode([token])
        return token

    def finish_call(self) -> str:
        """Let the model write until the call is closed."""
        for _ in range(200):
            if self.text.rstrip().endswith(b"}\n</tool_call>"):
                break
            self.step()
        return self.text.decode()


def spelled(model: Model, text: str, *, whole: bool) -> list[int]:
    """The tokens of `text` as the model cuts it, or letter by letter."""
    return model.tokenize(text) if whole else [token for letter in text for token in model.tokenize(letter)]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tag_tokens", [True, False])
def test_a_call_opens_however_its_tag_was_cut(demo_path: Path, tmp_path: Path, tag_tokens: bool, whole: bool) -> None:
    renamed = {} if tag_tokens else {"<tool_call>": "<unused_1>", "</tool_call>": "<unused_2>"}
    with copied(demo_path, tmp_path, renamed_tokens=renamed) as copy:
        driven = Driven(copy, "auto")
        for token in spelled(driven.model, "a < b <tool_ <tool_call>\n{", whole=whole):
            assert driven.step(token) == token
        (call,) = calls(driven.finish_call())
        check(call)
        for token in spelled(driven.model, "\nand <b> free", whole=whole):
            assert driven.step(token) == token


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tag_tokens", [True, False])
def test_a_tag_that_is_only_mentioned_opens_no_call(
    demo_path: Path, tmp_path: Path, tag_tokens: bool, whole: bool
) -> None:
    renamed = {} if tag_tokens else {"<tool_call>": "<unused_1>", "</tool_call>": "<unused_2>"}
    with copied(demo_path, tmp_path, renamed_tokens=renamed) as copy:
        driven = Driven(copy, "auto")
        text = "Wrap it in <tool_call> tags, `<tool_call>` or <tool_call>\n\ntags: {4}"
        for token in spelled(driven.model, text, whole=whole):
            assert driven.step(token) == token
        assert driven.text.decode() == text


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tag_tokens", [True, False])
def test_no_call_opens_however_its_tag_is_cut(demo_path: Path, tmp_path: Path, tag_tokens: bool, whole: bool) -> None:
    renamed = {} if tag_tokens else {"<tool_call>": "<unused_1>", "</tool_call>": "<unused_2>"}
    with copied(demo_path, tmp_path, renamed_tokens=renamed) as copy:
        driven = Driven(copy, "none")
        *before, last = spelled(driven.model, "a < b <tool_call>", whole=whole)
        for token in before:
            assert driven.step(token) == token
        assert driven.step(last) != last
        assert b"<tool_call>" not in driven.text


def test_a_mask_is_read_as_the_tokens_it_allows() -> None:
    assert tokens_in(b"\x00\x05\x00\x80\x00") == [8, 10, 31]


def test_second_choice_keeps_the_relative_probabilities_of_allowed_tokens(backend: LocalBackend) -> None:
    context, size = backend.cache.context, backend.model.vocab_size
    context.keep(0)
    context.decode(backend.model.tokenize("Some text."))
    logits = context.logits(range(size))
    ranked = sorted(range(size), key=lambda token: -logits[token])
    allowed = {token: math.exp(logits[token] - logits[ranked[0]]) for token in (ranked[1], ranked[3], ranked[4])}
    mask = bytearray(size // 8 + 1)
    for token in allowed:
        mask[token >> 3] |= 1 << (token & 7)
    sampler = sampling.masked_sampler(decide(Sampling(temperature=1, seed=0)), context)
    drawn = collections.Counter[int]()
    for _ in range(4000):
        token = context.sample(sampler)
        drawn[token if token in allowed else sampler.choose_again(bytes(mask))] += 1
    sampler.close()
    for token, weight in allowed.items():
        assert drawn[token] / 4000 == pytest.approx(weight / sum(allowed.values()), abs=0.03)


@pytest.mark.parametrize(("count", "chosen"), [(1, 0), (2, 1)])
def test_penalties_of_constrained_text_are_those_of_free_text(backend: LocalBackend, count: int, chosen: int) -> None:
    context, size = backend.cache.context, backend.model.vocab_size
    context.keep(0)
    context.decode(backend.model.tokenize("Some text."))
    logits = context.logits(range(size))
    ranked = sorted(range(size), key=lambda token: -logits[token])
    gap = logits[ranked[0]] - logits[ranked[1]]
    values = decide(Sampling(temperature=0, repeat_penalty=1.2, frequency_penalty=0.5, presence_penalty=0.25))
    sampler = sampling.masked_sampler(values, context)
    assert sampler.penalties == (1.2, 0.5, 0.25)
    sampler.penalties = (1.0, gap * 0.4, gap * 0.4)  # one occurrence costs 0.8 of the gap, two cost 1.2
    sampler.repeated = {ranked[0]: count}
    assert context.sample(sampler) == ranked[chosen]
    sampler.close()
