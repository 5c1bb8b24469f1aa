"""A model on an OpenAI-compatible server as a `Backend`."""

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from hermes_cli.backend import BackendInfo
from hermes_cli.chat.events import GenerationEvent, PromptProgress, TextDelta, Usage
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling, decide
from hermes_cli.errors import ContextOverflow, EngineError, LoadCancelled, UsageError
from hermes_cli.formats import chatml
from hermes_cli.formats.segment import joined
from hermes_cli.formats.thinking import thinking_apart
from hermes_cli.remote.address import Address
from hermes_cli.remote.answer import Answer, without_repeat
from hermes_cli.remote.bodies import chat_body, defused, forced_call, raw_body
from hermes_cli.remote.client import Cancelled, Client
from hermes_cli.remote.families import Mode
from hermes_cli.remote.faults import FieldRefused
from hermes_cli.remote.probe import ServedModel, Server, probe
from hermes_cli.remote.raw_prompt import CONTROL_TEXT, RawPrompt
from hermes_cli.values import dataclass

_ASSUMED_CONTEXT = 8192
_BYTES_PER_TOKEN = 3.5
_BROKEN_UP = "control text in messages is sent with a zero-width space in it, so that it is only text (chat mode)"
_MESSAGE_TOKENS = 5  # the markers and the role of a message, where the server does not count


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How to reach a model on a server. `mode` None lets the probe choose; `extra_body` is sent with every request.

    `context_origin` names the setting that `context_length` comes from, if it is not an option.
    """

    address: Address
    model: str | None = None
    key: str | None = None
    mode: Mode | None = None
    context_length: int | None = None
    extra_body: Mapping[str, Any] | None = None
    context_origin: str | None = None


def open_remote(options: EndpointOptions, cancel: CancelToken | None = None) -> "RemoteBackend":
    """Connect, probe the server and choose the model and the mode.

    Raises EndpointError, ModelNotFound, UsageError, and LoadCancelled at once after a cancel.
    """
    started = time.perf_counter()
    client = Client(options.address, options.key)
    try:
        with client.stopped_by(cancel or CancelToken()):
            server = probe(client, options.model)
        return RemoteBackend(client, options, server, time.perf_counter() - started)
    except Cancelled:
        client.close()
        raise LoadCancelled("connecting was stopped", "run the command again") from None
    except BaseException:
        client.close()
        raise


class RemoteBackend:
    """One model on one server; in raw mode our own prompt format by token ids, in chat mode the server's."""

    def __init__(self, client: Client, options: EndpointOptions, server: Server, load_s: float) -> None:
        self._client, self._server, self._extra = client, server, dict(options.extra_body or {})
        self._model = server.model(options.model)
        self._dropped: set[str] = set()
        self._closed = False
        self._bytes_per_token = _BYTES_PER_TOKEN
        self.mode: Mode = options.mode or ("raw" if server.markers else "chat")
        if self.mode == "raw" and not server.markers:
            raise UsageError(
                f"{options.address} cannot be used in raw mode: it does not serve a ChatML model by token ids",
                "use --endpoint-mode chat",
            )
        self._prompt = RawPrompt(client, server, self._model.id) if self.mode == "raw" else None
        self._limits_answers = options.context_length is not None or server.family.context_length is not None
        self.info = _info(options, server, self._model, self.mode, load_s)
        if client.exposes_key:
            self._note(f"the key is sent unencrypted to {options.address}: use https, or a tunnel")

    def close(self) -> None:
        """Close the connection, which ends an answer in progress; closing twice is harmless."""
        self._closed = True
        self._client.close()

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """How many tokens a request with these messages takes up; estimated in chat mode."""
        self._check_open()
        if self._prompt:
            return len(self._prompt.ids(self._prompt.segments(messages)))
        size = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
        return round(size / self._bytes_per_token) + _MESSAGE_TOKENS * (len(messages) + 1)

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """What the model is sent, markers included; in chat mode the server's template writes the markers."""
        self._check_open()
        if self._prompt:
            return joined(self._prompt.segments(messages))
        return joined(chatml.write(replace(message, content=defused(message.content)) for message in messages))

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """Control tokens that are spelled out in the messages, where they count as ordinary text."""
        found = (text for message in messages for text in CONTROL_TEXT.findall(message.content))
        return tuple(dict.fromkeys(found))

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`; see `Backend.generate`. Leaving the iterator early closes the connection."""
        return thinking_apart(self._answer(request, cancel))

    def _answer(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        self._check_open()
        started = time.perf_counter()
        if request.grammar is not None and not self._server.family.grammar:
            raise UsageError(
                f"{self._server.family.name} cannot constrain answers to a grammar",
                "omit --grammar, or use a local model",
            )
        sampling = self._sampling(request.sampling)
        forced = forced_call(request) if self.mode == "raw" else None
        asked = request
        if forced:
            begun = (*request.messages, Message("assistant", forced.opening))
            asked = replace(request, messages=begun, schema=forced.schema)
        answer = Answer(sampling.seed or 0, started)
        try:
            with self._client.stopped_by(cancel):
                path, body, prompt_tokens = self._body(asked, sampling)
            answer.usage = Usage(prompt_tokens)
            yield PromptProgress(0, prompt_tokens)
            if forced:
                yield TextDelta(forced.opening)
            events, last = self._streamed(path, body, answer, cancel), request.messages[-1]
            if last.role == "assistant" and self.mode == "chat" and not self._server.family.continues:
                yield from without_repeat(events, last.content)
            else:
                yield from events
            if forced and answer.reason == "stop":
                yield TextDelta(forced.closing)
        except Cancelled:
            answer.reason = "cancelled"
        yield answer.finished()
        self._learn(request, answer)

    def _sampling(self, given: Sampling) -> Sampling:
        """The values to send: all of them in raw mode, else those that were set and a seed. Raises UsageError."""
        decided = decide(given)
        if self.mode == "raw":
            return decided
        return replace(given, seed=decided.seed)

    def _streamed(
        self, path: str, body: dict[str, Any], answer: Answer, cancel: CancelToken
    ) -> Generator[GenerationEvent]:
        """The events of the answer; a field that the server refuses by name is dropped once."""
        while True:
            sent = {name: value for name, value in body.items() if name not in self._dropped}
            try:
                with self._client.stream(path, sent, cancel) as values:
                    yield from answer.events(self._client.address, values)
                return
            except FieldRefused as refused:
                if refused.field not in sent or refused.field in ("model", "messages", "prompt", "stream", "grammar"):
                    raise
                self._dropped.add(refused.field)
                self._note(f"{self._server.family.name} does not take {refused.field}; it is no longer sent")

    def _body(self, request: GenerationRequest, sampling: Sampling) -> tuple[str, dict[str, Any], int]:
        """Path and body of the request, and the tokens of its prompt. Raises ContextOverflow."""
        context = self.info.context_length
        if self._prompt:
            ids = self._prompt.ids(self._prompt.segments(request.messages))
            count = len(ids)
        else:
            count = self.count_tokens(request.messages)
            if self.control_text(request.messages):
                self._note(_BROKEN_UP)
        if count >= context:
            raise ContextOverflow(
                f"the prompt has {count:,} tokens, the context {context:,}", "shorten it, or start a new session"
            )
        room = context - count
        limit = request.max_tokens
        if self._prompt or self._limits_answers:
            limit = room if limit is None else min(limit, room)
        if self._prompt:
            body = raw_body(self._server, self._model.id, ids, request, sampling, room if limit is None else limit)
            return "/v1/completions", body | self._extra, count
        body = chat_body(self._server.family, self._model.id, request, sampling, limit)
        return "/v1/chat/completions", body | self._extra, count

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this connection was closed", "open it again")

    def _note(self, note: str) -> None:
        """Add a note for the user, once."""
        if note not in self.info.notes:
            self.info = replace(self.info, notes=(*self.info.notes, note))

    def _learn(self, request: GenerationRequest, answer: Answer) -> None:
        """Adjust the estimate of tokens by what the server counted."""
        size = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
        tokens = answer.usage.prompt_tokens - _MESSAGE_TOKENS * (len(request.messages) + 1)
        if not self._prompt and answer.counted and size > 200 and tokens > 0:
            self._bytes_per_token = min(max(size / tokens, 1.0), 8.0)


def _info(options: EndpointOptions, server: Server, model: ServedModel, mode: Mode, load_s: float) -> BackendInfo:
    notes = []
    length, known = options.context_length, server.context_length or model.context_length
    if length and known and length > known:
        if options.context_origin is None:
            message = f"--ctx {length} is more than the server's context of {known:,} tokens"
            raise UsageError(message, f"use --ctx {known}")
        notes.append(f"ctx is {length:,} in {options.context_origin}; the server's context has {known:,} tokens")
        length = known
    length = length or known
    if length is None:
        length = server.family.context_length or _ASSUMED_CONTEXT
        notes.append(f"the server does not report its context length; assuming {length:,} tokens (--ctx N sets it)")
    version = f" {server.version}" if server.version else ""
    return BackendInfo(
        model_name=model.id.rpartition("/")[2] if model.id.endswith(".gguf") else model.id,
        description=f"{server.family.name}{version}, {mode} mode",
        placement=str(options.address),
        context_length=length,
        memory_bytes=None,
        load_s=load_s,
        notes=tuple(notes),
        exact_token_counts=mode == "raw",
        keeps_control_text=mode == "raw",
    )
