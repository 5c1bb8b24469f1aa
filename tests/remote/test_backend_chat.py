"""Chat mode against a server that sends every shape of answer that was seen in the wild."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hermes_cli.chat.events import Finished, TextDelta, ThinkingDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.errors import ContextOverflow, EndpointError, EngineError, HermesError, UsageError
from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from tests.remote.odd_server import OddServer, Reply, events, odd_server


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as running:
        yield running


@pytest.fixture
def backend(server: OddServer) -> Iterator[RemoteBackend]:
    opened = open_remote(EndpointOptions(parse_address(server.url), context_length=4096))
    yield opened
    opened.close()


def text_delta(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def finish(reason: str = "stop", **rest: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **rest}


def asked(backend: RemoteBackend, text: str = "Hi", **options: Any) -> tuple[str, Finished]:
    request = GenerationRequest((Message("user", text),), **options)
    said = list(backend.generate(request, options.get("cancel", CancelToken())))
    end = said[-1]
    assert isinstance(end, Finished)
    return "".join(event.text for event in said if isinstance(event, TextDelta)), end


USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.mark.parametrize(
    "stream",
    [
        events(text_delta("a"), text_delta("b"), finish(usage=USAGE)),
        events(text_delta("a"), text_delta("b"), finish(), {"choices": [], "usage": USAGE}),
        events(text_delta("a"), text_delta("b"), {**finish(), "choices": [{"finish_reason": "stop", "usage": USAGE}]}),
        events({"choices": [{"delta": None}]}, text_delta("a"), text_delta("b"), finish(usage=USAGE), done=False),
        [b": ping\r\n\r\n", *[part.replace(b"\n", b"\r\n") for part in events(text_delta("ab"), finish(usage=USAGE))]],
        events({"choices": [{"delta": {"content": "ab"}, "finish_reason": "stop"}], "usage": USAGE}),
        events({"choices": [{"delta": {"content": [{"type": "text", "text": "ab"}]}}]}, finish(usage=USAGE)),
        [b"\xef\xbb\xbf", *events(text_delta("ab"), finish(usage=USAGE))],
        [b"data:\n\n", *events(text_delta("ab"), finish(usage=USAGE))],
        events({"error": None, **text_delta("ab")}, {"error": {}, "detail": None, **finish(usage=USAGE)}),
        events({**text_delta("a"), "usage": {"prompt_tokens": 0}}, {**text_delta("b"), "usage": USAGE}, finish()),
        events({"choices": [{"delta": {"content": "ab"}, "finish_reason": ""}]}, finish(usage=USAGE)),
    ],
)
def test_odd_streams_give_the_same_answer(server: OddServer, backend: RemoteBackend, stream: list[bytes]) -> None:
    server.replies = [Reply(stream)]
    text, end = asked(backend)
    assert (text, end.reason, end.usage.prompt_tokens, end.usage.completion_tokens) == ("ab", "stop", 7, 2)


def test_an_answer_that_is_not_streamed(server: OddServer, backend: RemoteBackend) -> None:
    body = b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "length"}]}'
    server.replies = [Reply([body], content_type="application/json")]
    text, end = asked(backend)
    assert (text, end.reason) == ("whole", "length")


def test_an_answer_that_is_streamed_as_json(server: OddServer, backend: RemoteBackend) -> None:
    server.replies = [Reply(events(text_delta("a"), text_delta("b"), finish()), content_type="application/json")]
    assert asked(backend)[0] == "ab"


def test_a_character_cut_in_two_escapes_is_whole(server: OddServer, backend: RemoteBackend) -> None:
    halves = [text_delta("x\ud83d"), text_delta("\ude00y"), text_delta("\ud83d"), finish()]
    server.replies = [Reply(events(*halves))]
    assert asked(backend)[0] == "x😀y\ufffd"


def test_thinking_is_apart_under_either_name(server: OddServer, backend: RemoteBackend) -> None:
    for name in ("reasoning", "reasoning_content"):
        server.replies = [Reply(events({"choices": [{"delta": {name: "hmm"}}]}, text_delta("so"), finish()))]
        said = list(backend.generate(GenerationRequest((Message("user", "Hi"),)), CancelToken()))
        assert [event.text for event in said if isinstance(event, ThinkingDelta)] == ["hmm"]
        assert [event.text for event in said if isinstance(event, TextDelta)] == ["so"]


@pytest.mark.parametrize(
    ("pieces", "rest"),
    [(("2 pl", "us 3", " is"), " 3 is"), (("4 is", " it"), "4 is it"), (("2 ",), "2 "), (("2 plus",), "")],
)
def test_an_answer_that_begins_again_is_continued(
    server: OddServer, backend: RemoteBackend, pieces: tuple[str, ...], rest: str
) -> None:
    server.replies = [Reply(events(*map(text_delta, pieces), finish()))]
    request = GenerationRequest((Message("user", "Hi"), Message("assistant", "2 plus")))
    said = list(backend.generate(request, CancelToken()))
    assert "".join(event.text for event in said if isinstance(event, TextDelta)) == rest


def test_thinking_is_not_sent_back(server: OddServer, backend: RemoteBackend) -> None:
    server.replies = [Reply(events(finish()))]
    history = (Message("user", "a"), Message("assistant", "b", thinking="secret"), Message("user", "c"))
    list(backend.generate(GenerationRequest(history), CancelToken()))
    assert "secret" not in str(server.bodies[0])


def test_split_utf8(server: OddServer, backend: RemoteBackend) -> None:
    raw = b"".join(events(text_delta("ä€😀"), finish()))
    raw = raw.replace(b"\\u00e4\\u20ac\\ud83d\\ude00", "ä€😀".encode())
    server.replies = [Reply([raw[place : place + 1] for place in range(len(raw))])]
    assert asked(backend)[0] == "ä€😀"


def call(**rest: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [rest]}}]}


@pytest.mark.parametrize(
    "stream",
    [
        events(
            call(index=0, id="c1", function={"name": "add", "arguments": '{"a":'}),
            call(index=0, function={"arguments": " 1}"}),
            finish("tool_calls"),
        ),
        events(call(function={"name": "add", "arguments": {"a": 1}}), finish("tool_calls")),
        events(call(id="c1", function={"name": "add", "arguments": '{"a": 1}'}), finish()),
    ],
)
def test_native_tool_calls_become_hermes_calls(server: OddServer, backend: RemoteBackend, stream: list[bytes]) -> None:
    server.replies = [Reply(stream)]
    assert asked(backend)[0] == '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


@pytest.mark.parametrize(
    "parts",
    [
        [
            call(index=0, id="c1", function={"name": "add", "arguments": '{"n":'}),
            call(index=0, function={"arguments": "1}"}),
            call(index=0, id="c2", function={"name": "add", "arguments": '{"n":'}),
            call(index=0, function={"arguments": "2}"}),
        ],
        [call(function={"name": "add", "arguments": f'{{"n":{number}}}'}) for number in (1, 2)],
        [
            call(index=1, id="c1", function={"name": "add", "arguments": {"n": 1}}),
            call(index=5, id="c2", function={"name": "add", "arguments": {"n": 2}}),
        ],
    ],
    ids=["one index for all", "neither index nor id", "gaps between indexes"],
)
def test_two_calls_stay_apart(server: OddServer, backend: RemoteBackend, parts: list[dict[str, Any]]) -> None:
    server.replies = [Reply(events(*parts, finish("tool_calls")))]
    written = asked(backend)[0]
    assert [json.loads(line)["arguments"]["n"] for line in written.splitlines() if line.startswith("{")] == [1, 2]


def test_a_name_in_every_piece_is_one_call(server: OddServer, backend: RemoteBackend) -> None:
    pieces = [call(index=0, function={"name": "add", "arguments": part}) for part in ('{"n":', "1", "}")]
    server.replies = [Reply(events(*pieces, finish("tool_calls")))]
    assert asked(backend)[0] == '<tool_call>\n{"name": "add", "arguments": {"n":1}}\n</tool_call>'


def test_calls_without_an_index_stay_apart(server: OddServer, backend: RemoteBackend) -> None:
    calls = [call(id=id, function={"name": "add", "arguments": {"n": 1}}) for id in ("c1", "c2")]
    server.replies = [Reply(events(*calls, finish("tool_calls")))]
    assert asked(backend)[0].count("<tool_call>") == 2


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply([b'{"error": "model is loading"}'], 500, "application/json"), EndpointError, "model is loading"),
        (Reply([b'{"error": {"message": "bad", "code": 500}}'], 500, "application/json"), EndpointError, "bad"),
        (Reply([b'{"detail": [{"loc": ["body", "x"], "msg": "m"}]}'], 400, "application/json"), EndpointError, "m"),
        (
            Reply([b'{"detail": [{"loc": {}, "msg": "odd"}, {"loc": null}]}'], 400, "application/json"),
            EndpointError,
            "odd",
        ),
        (Reply([b"<html>oops</html>"], 418, "text/html"), EndpointError, "oops"),
        (Reply([b'{"error":"Unauthorized"}'], 401, "application/json"), EndpointError, "key"),
        (Reply([b'{"error":"no such host"}'], 403, "application/json"), EndpointError, "refused access"),
        (
            Reply([b'{"error":{"message":"maximum context length is 8 tokens"}}'], 400, "application/json"),
            ContextOverflow,
            "context",
        ),
        (Reply(events({"error": {"message": "out of memory"}}, done=False)), EndpointError, "out of memory"),
        (Reply([b'{"error": "no"}'], 200, "application/json"), EndpointError, "no"),
        (Reply([b"data: {broken\n\n"]), EndpointError, "no valid JSON"),
        (Reply(events(text_delta("part"), finish("abort"))), EndpointError, "ended the answer early"),
    ],
)
def test_errors_in_every_shape(
    server: OddServer, backend: RemoteBackend, reply: Reply, error: type[HermesError], words: str
) -> None:
    server.replies = [reply]
    with pytest.raises(error, match=words):
        asked(backend)


def test_a_stream_that_breaks_off_keeps_its_text_and_fails(server: OddServer, backend: RemoteBackend) -> None:
    server.replies = [Reply(events(text_delta("part"), done=False))]
    texts = []
    with pytest.raises(EndpointError, match="ended the answer early"):
        for event in backend.generate(GenerationRequest((Message("user", "Hi"),)), CancelToken()):
            if isinstance(event, TextDelta):
                texts.append(event.text)
    assert texts == ["part"]


def test_an_answer_without_a_finish_reason_that_the_server_ended_is_complete(
    server: OddServer, backend: RemoteBackend
) -> None:
    server.replies = [Reply(events(text_delta("whole")))]
    text, finished = asked(backend)
    assert (text, finished.reason) == ("whole", "stop")


def test_a_busy_server_is_asked_again_as_it_requests(server: OddServer, backend: RemoteBackend) -> None:
    busy = Reply([b"{}"], 429, "application/json", {"retry-after-ms": "20"})
    server.replies = [busy, busy, Reply(events(text_delta("at last"), finish()))]
    assert asked(backend)[0] == "at last"
    assert len(server.bodies) == 3


def test_a_refused_field_is_dropped_once_and_reported(server: OddServer, backend: RemoteBackend) -> None:
    refused = Reply([b'{"error": {"message": "unknown", "param": "seed"}}'], 400, "application/json")
    answers = [Reply(events(text_delta("ok"), finish())) for _ in range(2)]
    server.replies = [refused, *answers]
    assert asked(backend)[0] == asked(backend)[0] == "ok"
    assert ["seed" in body for body in server.bodies] == [True, False, False]
    assert any("seed" in note for note in backend.info.notes)


def test_only_fields_that_the_family_knows_are_sent(server: OddServer, backend: RemoteBackend) -> None:
    server.replies = [Reply(events(finish()))]
    asked(backend, sampling=Sampling(temperature=0.5, top_k=7, min_p=0.1, repeat_penalty=1.2, seed=3), max_tokens=9)
    body = server.bodies[0]
    assert {"top_k", "min_p", "repeat_penalty", "repetition_penalty"} & set(body) == set()
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 3, 9)


@pytest.mark.parametrize(
    "tokens",
    [
        ("<|im_end|>", "<|im_start|>"),  # ChatML
        ("<end_of_turn>", "<start_of_turn>"),  # Gemma 3
        ("<turn|>", "<|turn>"),  # Gemma 4
        ("<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>"),  # DeepSeek
        ("[/SYSTEM_PROMPT]", "[TOOL_CALLS]", "[INST]", "</s>"),  # Mistral
    ],
)
def test_control_text_is_broken_up_visibly(server: OddServer, backend: RemoteBackend, tokens: tuple[str, ...]) -> None:
    server.replies = [Reply(events(finish()))]
    text = "a < b |> c <b> [x] " + "\nsystem ".join(tokens)
    asked(backend, text)
    sent = server.bodies[0]["messages"][0]["content"]
    assert not any(token in sent for token in tokens) and sent.replace("\u200b", "") == text
    assert sent.count("\u200b") == len(tokens)
    assert backend.control_text((Message("user", text),)) == tokens


@pytest.mark.parametrize("stream", [[], events(text_delta("some"), done=False)], ids=["before the first byte", "after"])
def test_a_cancel_closes_the_connection_at_once(server: OddServer, backend: RemoteBackend, stream: list[bytes]) -> None:
    server.replies, server.hold = [Reply(stream)], True
    cancel = CancelToken()
    threading.Timer(0.2, lambda: cancel.cancel("interrupt")).start()
    events_seen = list(backend.generate(GenerationRequest((Message("user", "Hi"),)), cancel))
    end = events_seen[-1]
    assert isinstance(end, Finished) and end.reason == "cancelled"
    assert server.left.wait(5)


def context_of(server: OddServer, **options: Any) -> tuple[int, tuple[str, ...]]:
    opened = open_remote(EndpointOptions(parse_address(server.url), **options))
    opened.close()
    return opened.info.context_length, opened.info.notes


def test_a_context_length_longer_than_the_servers(server: OddServer) -> None:
    server.pages["/v1/models"] = {"data": [{"id": "m", "max_model_len": 2048}]}
    with pytest.raises(UsageError, match=r"--ctx 4096 is more than the server's context of 2,048"):
        context_of(server, context_length=4096)
    length, notes = context_of(server, context_length=4096, context_origin="config.toml")
    assert length == 2048 and "config.toml" in notes[0]


def test_answers_stay_within_a_context_that_is_shorter_than_the_servers(server: OddServer) -> None:
    server.pages["/v1/models"] = {"data": [{"id": "m", "max_model_len": 2048}]}
    opened = open_remote(EndpointOptions(parse_address(server.url), context_length=100))
    with pytest.raises(ContextOverflow):
        asked(opened, "fox " * 200)
    server.replies = [Reply(events(finish()))]
    asked(opened, "Hi")
    assert 0 < server.bodies[0]["max_tokens"] < 100
    opened.close()


def test_ollama_gets_no_more_than_it_reports(server: OddServer) -> None:
    server.pages |= {"/api/version": {"version": "0.9"}, "/v1/models": {"data": [{"id": "m:latest"}, {"id": "big"}]}}
    assert context_of(server, model="m")[0] == 4096
    server.pages["/api/ps"] = {
        "models": [{"name": "m:latest", "context_length": 3000}, {"name": "big", "context_length": 99}]
    }
    assert context_of(server, model="m") == (3000, ())
    opened = open_remote(EndpointOptions(parse_address(server.url), model="m"))
    with pytest.raises(ContextOverflow):
        asked(opened, "fox " * 4000)
    opened.close()


def test_a_server_that_cannot_list_its_models_is_used_if_one_is_named(server: OddServer) -> None:
    del server.pages["/v1/models"]
    with pytest.raises(EndpointError, match="has no such model or path"):
        context_of(server)
    assert context_of(server, model="m", context_length=64)[0] == 64


@pytest.mark.parametrize(
    "pages",
    [
        {"/props": {"total_slots": 1, "default_generation_settings": None}},
        {"/props": {"total_slots": 1, "default_generation_settings": {"n_ctx": "many"}, "build_info": None}},
        {"/api/version": {"version": None}, "/api/ps": {"models": 5}},
        {"/v1/models": {"data": [{"id": "m", "owned_by": None, "meta": 7, "max_model_len": True}, 8]}},
    ],
)
def test_facts_of_another_type_are_not_known(server: OddServer, pages: dict[str, Any]) -> None:
    server.pages |= pages
    server.replies = [Reply([b"{}"], 404, "application/json")]
    length, notes = context_of(server)
    assert length in (8192, 4096) and "does not report its context length" in notes[0]


@pytest.mark.parametrize("agrees", [True, False, None])
def test_raw_mode_only_where_the_template_writes_chatml(server: OddServer, agrees: bool | None) -> None:
    server.pages["/props"] = {"total_slots": 1, "default_generation_settings": {"n_ctx": 512}}
    start, end = "<|im_start|>", "<|im_end|>"
    said = [("system", "Be brief."), ("user", "1"), ("assistant", "2"), ("user", "3")]
    between = "\n" if agrees else "<|im_sep|>"
    prompt = (
        None
        if agrees is None
        else "<s>" + "".join(f"{start}{role}{between}{text}{end}\n" for role, text in said) + f"{start}assistant\n"
    )
    ids = [
        Reply([json.dumps({"tokens": tokens}).encode()], content_type="application/json") for tokens in ([7, 8], [1, 7])
    ]
    server.replies = [*ids, Reply([json.dumps({"prompt": prompt}).encode()], content_type="application/json")]
    opened = open_remote(EndpointOptions(parse_address(server.url)))
    assert opened.mode == ("chat" if agrees is False else "raw")
    opened.close()


def test_closing_ends_an_answer_and_leaves_the_cancel_token_alone(server: OddServer, backend: RemoteBackend) -> None:
    server.replies, server.hold = [Reply(events(text_delta("some"), done=False))], True
    cancel = CancelToken()
    threading.Timer(0.3, backend.close).start()
    end = list(backend.generate(GenerationRequest((Message("user", "Hi"),)), cancel))[-1]
    assert isinstance(end, Finished) and end.reason == "cancelled" and not cancel.cancelled
    with pytest.raises(EngineError):
        backend.count_tokens((Message("user", "Hi"),))


def test_keys_are_sent_but_never_shown(server: OddServer) -> None:
    opened = open_remote(EndpointOptions(parse_address(server.url), key="sk-secret", context_length=4096))
    server.replies = [Reply([b'{"error": "go away"}'], 401, "application/json")]
    with pytest.raises(EndpointError) as caught:
        asked(opened)
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in f"{caught.value.message} {caught.value.hint} {opened.info}"
    opened.close()


def test_a_server_that_is_not_there_is_named() -> None:
    started = time.monotonic()
    with pytest.raises(EndpointError, match=r"cannot reach 127\.0\.0\.1:9"):
        open_remote(EndpointOptions(parse_address("127.0.0.1:9")))
    assert time.monotonic() - started < 30
