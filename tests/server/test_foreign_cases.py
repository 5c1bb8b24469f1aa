"""Cases of other servers' own tests, as inputs and expected outcomes, asked of ours.

From llama.cpp's `tools/server/tests/unit`: chat_completion (chat, stream, parts, cached tokens, response formats,
json_schema, invalid messages, timings, log probabilities, logit bias, context size, progress, choices, token count,
continue_final_message), completion (stream equals whole, seeds, token prompts, cancel), security, tokenize and metrics.
From vLLM's `tests/entrypoints/openai` and `tests/tool_use`: completion (log probabilities 0, 5 and 21, echo, choices,
batches, text offsets), prompt validation, bodies that are not objects, request validation, parallel calls.

What differs by intent:
- The first chunk of a chat has the content "", as OpenAI's, not null. Text parts are joined without newlines.
- `system_fingerprint` is a name, not a build number. Texts and token counts are those of the demo model.
- An answer that a message list ends with is continued only with `continue_final_message`; several in a row are allowed.
- `continuous_usage_stats` is named as ignored.
- `finish_reason` is `tool_calls` also for a named function (vLLM: `stop`), and has a chunk of its own.
- Foreign origins get 403, not reflected or missing CORS headers; native `/completion`, slots and LoRA do not exist.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.server.running_server import Server, serving

BOOK = [{"role": "system", "content": "Book"}, {"role": "user", "content": "What is the best book"}]
CONTEXT = 512


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--ctx", str(CONTEXT), "--any-model") as running:
        yield running


class Adapter:
    """Requests as those tests make them."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def ask(self, path: str, **data: Any) -> tuple[int, Any]:
        """The status and the body of an answer."""
        answer = self._client.post(path, json=data)
        return answer.status_code, answer.json()

    def ok(self, path: str, **data: Any) -> Any:
        """The body of an answer that must be 200."""
        status, body = self.ask(path, **data)
        assert status == 200, body
        return body

    def stream(self, path: str, **data: Any) -> list[Any]:
        """The chunks of a streamed answer, which must end with [DONE]."""
        with self._client.stream("POST", path, json={**data, "stream": True}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[Adapter]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield Adapter(client)


@pytest.mark.parametrize(
    "content", ["What is the best book", [{"type": "text", "text": "What is"}, {"type": "text", "text": " the book"}]]
)
@pytest.mark.parametrize("model", [None, "gpt-3.5-turbo"])
def test_llama_chat_completion(api: Adapter, content: Any, model: str | None) -> None:
    body = api.ok("/chat/completions", model=model, max_tokens=2, messages=[{"role": "user", "content": content}])
    assert "cmpl" in body["id"] and body["choices"][0]["message"]["role"] == "assistant"
    assert body["usage"]["completion_tokens"] == 2 and body["choices"][0]["finish_reason"] == "length"


def test_llama_chat_completion_cached_tokens(api: Adapter) -> None:
    def cached(prompt: str) -> tuple[int, int]:
        messages = [{"role": "system", "content": "Test"}, {"role": "user", "content": prompt}]
        usage = api.ok("/chat/completions", max_tokens=8, messages=messages)["usage"]
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]

    cached("1 2 3 4 5 6")
    whole, same = cached("1 2 3 4 5 6")
    assert same == whole - 1
    assert cached("1 2 3 4 5 9")[1] < same
    assert 0 < cached("1 2 3 9 9 9")[1] < same


def test_llama_chat_completion_stream(api: Adapter) -> None:
    chunks = api.stream("/chat/completions", max_tokens=2, messages=BOOK, stream_options={"include_usage": True})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in chunks[1:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-2]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "length"}
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 2


def test_llama_continue_final_message_excludes_a_new_answer(api: Adapter) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    options = {"messages": messages, "max_tokens": 8, "continue_final_message": True}
    assert api.ask("/chat/completions", **options, add_generation_prompt=True)[0] == 400
    assert api.ask("/chat/completions", **options, add_generation_prompt=False)[0] == 200


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "json_object", "schema": {"const": "42"}}, '"42"'),
        ({"type": "json_schema", "json_schema": {"schema": {"const": "foooooo"}}}, '"foooooo"'),
        ({"type": "json_object"}, None),
    ],
)
def test_llama_response_format(api: Adapter, form: Any, expected: str | None) -> None:
    answer = api.ok("/chat/completions", max_tokens=20, messages=BOOK, response_format=form)["choices"][0]
    text = answer["message"]["content"]
    assert text.lstrip().startswith("{") if expected is None else text.strip() == expected


@pytest.mark.parametrize(
    "form",
    [
        {"type": "sound"},
        {"type": "json_object", "schema": 123},
        {"type": "json_object", "schema": {"type": 123}},
        {"type": "json_object", "schema": {"type": "hiccup"}},
    ],
)
def test_llama_invalid_response_format(api: Adapter, form: Any) -> None:
    status, body = api.ask("/chat/completions", max_tokens=1, messages=BOOK, response_format=form)
    assert status == 400 and "error" in body


def test_llama_json_schema_and_grammar(api: Adapter) -> None:
    answer = api.ok("/chat/completions", max_tokens=20, messages=BOOK, json_schema={"const": "42"})
    assert answer["choices"][0]["message"]["content"].strip() == '"42"'
    answer = api.ok("/chat/completions", max_tokens=20, messages=BOOK, grammar='root ::= "a" [b-c]{2} "."')
    assert re.fullmatch("a[bc]{2}[.]", answer["choices"][0]["message"]["content"])
    assert api.ask("/chat/completions", messages=BOOK, grammar="root ::= x")[0] == 400
    assert api.ask("/chat/completions", messages=BOOK, grammar='root ::= "a"', json_schema={})[0] == 400


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "string",
        [123],
        [{}],
        [{"role": 123}],
        [{"role": "system", "content": 123}],
        [{"role": "system", "content": "test"}, {}],
    ],
)
def test_llama_invalid_messages(api: Adapter, messages: Any) -> None:
    status, body = api.ask("/chat/completions", messages=messages)
    assert status == 400 and "error" in body


def test_llama_timings(api: Adapter) -> None:
    chunks = api.stream("/chat/completions", messages=BOOK, max_tokens=4, stream_options={"include_usage": True})
    assert {"prompt_per_second", "predicted_per_second"} < chunks[-1]["timings"].keys()
    assert chunks[-1]["timings"]["predicted_n"] <= 4 and "timings" not in chunks[0]


@pytest.mark.parametrize("stream", [False, True])
def test_llama_logprobs(api: Adapter, stream: bool) -> None:
    options = {"messages": BOOK, "temperature": 0, "max_tokens": 5, "logprobs": True, "top_logprobs": 10}
    if stream:
        choices = [chunk["choices"][0] for chunk in api.stream("/chat/completions", **options)]
        text = "".join(choice["delta"].get("content", "") for choice in choices)
        tokens = [token for choice in choices if choice.get("logprobs") for token in choice["logprobs"]["content"]]
    else:
        choice = api.ok("/chat/completions", **options)["choices"][0]
        text, tokens = choice["message"]["content"], choice["logprobs"]["content"]
    assert text and "".join(token["token"] for token in tokens) == text
    assert all(token["logprob"] <= 0 and token["bytes"] and len(token["top_logprobs"]) == 10 for token in tokens)


def test_llama_logit_bias(api: Adapter) -> None:
    words = [" is", " the", " a", " and", "The", "I"]
    ids = {id for word in words for id in api.ok("/tokenize", content=word)["tokens"]}
    bias = {str(id): -100 for id in ids}
    answer = api.ok("/chat/completions", messages=BOOK, temperature=0, max_tokens=30, logit_bias=bias)
    text = answer["choices"][0]["message"]["content"]
    assert text and not any(f"{word} " in text for word in words)


@pytest.mark.parametrize("stream", [False, True])
def test_llama_context_size_exceeded(api: Adapter, stream: bool) -> None:
    status, body = api.ask("/chat/completions", messages=BOOK * 100, stream=stream)
    assert status == 400 and body["error"]["type"] == "exceed_context_size_error"
    assert body["error"]["n_prompt_tokens"] > body["error"]["n_ctx"] == CONTEXT


def test_llama_progress(api: Adapter) -> None:
    def progress() -> list[Any]:
        messages = [{"role": "user", "content": "This is a test" * 10}]
        chunks = api.stream("/chat/completions", messages=messages, max_tokens=10, return_progress=True)
        return [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]

    fresh, cached = progress(), progress()
    for one in (fresh, cached):
        assert one[0]["processed"] == one[0]["cache"] and len({(each["total"], each["cache"]) for each in one}) == 1
        assert one[-1]["processed"] == one[-1]["total"]
    assert cached[0]["cache"] > fresh[0]["cache"]


def test_llama_several_choices(api: Adapter) -> None:
    choices = api.ok("/chat/completions", messages=BOOK, max_tokens=8, n=2)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    assert all(choice["message"]["role"] == "assistant" for choice in choices)


def test_the_prompt_of_several_choices_counts_once(api: Adapter) -> None:
    options = {"prompt": ["I am", "You were"], "max_tokens": 2, "temperature": 0}
    one, three = (api.ok("/completions", n=n, **options)["usage"] for n in (1, 3))
    assert three["prompt_tokens"] == one["prompt_tokens"] > 2
    assert three["completion_tokens"] == 3 * one["completion_tokens"]


def test_llama_completion_stream_equals_whole(api: Adapter) -> None:
    options = {"prompt": "I believe the meaning of life is", "max_tokens": 8, "seed": 42}
    chunks = api.stream("/v1/completions", **options)
    whole = api.ok("/v1/completions", **options)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["choices"][0]["text"]
    assert "cmpl" in whole["id"] and whole["object"] == "text_completion"


def test_llama_seeds(api: Adapter) -> None:
    def answer(seed: int) -> str:
        options = {"prompt": "I believe", "max_tokens": 24, "temperature": 1.5, "seed": seed}
        return str(api.ok("/v1/completions", **options)["choices"][0]["text"])

    assert answer(42) == answer(42)
    assert len({answer(seed) for seed in range(8)}) > 1


def test_llama_token_prompts(api: Adapter) -> None:
    text = "I believe the meaning of life is"
    ids = api.ok("/tokenize", content=text, add_special=True)["tokens"]
    options = {"max_tokens": 8, "temperature": 0}
    prompts = [api.ok("/v1/completions", prompt=prompt, **options) for prompt in (text, ids, [ids, ids])]
    texts = [choice["text"] for answer in prompts for choice in answer["choices"]]
    assert len(texts) == 4 and len(set(texts)) == 1


def test_llama_cancel(api: Adapter, server: Server) -> None:
    with pytest.raises(httpx2.TimeoutException):
        long = {"prompt": "fox " * 100, "max_tokens": 200, "temperature": 5, "top_k": 0, "n": 8}
        httpx2.post(f"{server.url}/v1/completions", json=long, timeout=0.05)
    assert api.ok("/v1/completions", prompt="I believe", max_tokens=1)["usage"]["completion_tokens"] == 1


def test_llama_tokenize_and_detokenize(api: Adapter) -> None:
    content = "What is the capital of France ?"
    ids = api.ok("/tokenize", content=content)["tokens"]
    assert len(ids) > 5 and api.ok("/detokenize", tokens=ids)["content"].strip() == content
    with_bos = api.ok("/tokenize", content=content, add_special=True)["tokens"]
    assert with_bos[1:] == ids
    pieces = api.ok("/tokenize", content="This is a test string with unicode 媽 and emoji 🤗", with_pieces=True)[
        "tokens"
    ]
    assert all(token["id"] >= 0 and "piece" in token for token in pieces)


def test_llama_metrics(server: Server) -> None:
    answer = httpx2.get(f"{server.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain") and "llamacpp:prompt_tokens_total" in answer.text


@pytest.mark.parametrize(("logprobs", "status"), [(0, 200), (5, 200), (21, 400)])
@pytest.mark.parametrize("stream", [False, True])
def test_vllm_completion_logprobs(api: Adapter, logprobs: int, status: int, stream: bool) -> None:
    options = {"prompt": [0, 0, 0, 0, 0], "max_tokens": 5, "temperature": 0, "logprobs": logprobs}
    if stream and status == 200:
        lists = [chunk["choices"][0]["logprobs"] for chunk in api.stream("/v1/completions", **options)]
        tops = [top for one in lists if one for top in one["top_logprobs"]]
    else:
        found, body = api.ask("/v1/completions", **options)
        assert found == status
        if status != 200:
            return
        tops = body["choices"][0]["logprobs"]["top_logprobs"]
        assert len(body["choices"][0]["logprobs"]["tokens"]) == len(tops)
    assert tops and all(1 <= len(top) <= max(logprobs, 1) + 1 for top in tops)


def test_vllm_echo_with_logprobs(api: Adapter) -> None:
    options = {"prompt": [0, 0, 0, 0, 0], "max_tokens": 5, "temperature": 0, "echo": True, "logprobs": 1}
    lists = api.ok("/v1/completions", **options)["choices"][0]["logprobs"]
    assert len(lists["tokens"]) == len(lists["token_logprobs"]) == len(lists["text_offset"]) >= 5
    assert lists["token_logprobs"][0] is None and lists["top_logprobs"][0] is None


@pytest.mark.parametrize("stream", [False, True])
def test_vllm_batches_and_choices(api: Adapter, stream: bool) -> None:
    options = {"prompt": ["Hello", "Hello"], "n": 2, "max_tokens": 5, "temperature": 0}
    if stream:
        texts = [""] * 4
        for chunk in api.stream("/v1/completions", **options):
            texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    else:
        choices = api.ok("/v1/completions", **options)["choices"]
        assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
        texts = [choice["text"] for choice in choices]
    assert texts[0] and len(set(texts)) == 1


def test_vllm_text_offsets(api: Adapter) -> None:
    options = {"prompt": "the quick", "max_tokens": 3, "temperature": 0, "logprobs": 0, "echo": True}
    choice = api.ok("/v1/completions", **options)["choices"][0]
    ends = [*choice["logprobs"]["text_offset"][1:], None]
    pieces = [choice["text"][start:end] for start, end in zip(choice["logprobs"]["text_offset"], ends, strict=True)]
    assert pieces[: len(choice["logprobs"]["tokens"])] == choice["logprobs"]["tokens"]


@pytest.mark.parametrize("prompt", ["", [], [""], [[]], [-1], [10**6], [[1], [10**6]], None, 5, {"a": 1}, ["a", 5]])
def test_vllm_prompt_validation(api: Adapter, prompt: Any) -> None:
    # The demo model adds a token of its own to "", so that is a prompt.
    status, body = api.ask("/v1/completions", prompt=prompt, max_tokens=1)
    assert status == (200 if prompt in ("", [""]) else 400), body


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "null"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/tokenize"])
def test_vllm_bodies_that_are_not_objects(server: Server, body: str, path: str) -> None:
    answer = httpx2.post(f"{server.url}{path}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "the body must be a JSON object"


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"},
        {"tool_choice": "maybe", "tools": [tool("a")]},
        {"tool_choice": {"type": "function", "function": {"name": "b"}}, "tools": [tool("a")]},
        {"tool_choice": {"type": "function", "function": {}}, "tools": [tool("a")]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function", "function": {}}]},
        {"top_logprobs": 5},
    ],
)
def test_vllm_request_validation(api: Adapter, fields: Any) -> None:
    assert api.ask("/v1/chat/completions", messages=BOOK, **fields)[0] == 400


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "second"}}])
def test_vllm_tool_choice(api: Adapter, choice: Any) -> None:
    options = {"messages": BOOK, "tools": [tool("first"), tool("second")], "tool_choice": choice, "temperature": 0}
    answer = api.ok("/v1/chat/completions", **options)["choices"][0]
    assert answer["finish_reason"] == "tool_calls"
    for call in answer["message"]["tool_calls"]:
        assert call["type"] == "function" and len(call["id"]) >= 9 and json.loads(call["function"]["arguments"])["n"]
        assert choice == "required" or call["function"]["name"] == "second"
    chunks = api.stream("/v1/chat/completions", **options)
    parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", ())]
    names = [part["function"]["name"] for part in parts if "name" in part["function"]]
    assert names == [call["function"]["name"] for call in answer["message"]["tool_calls"]]
