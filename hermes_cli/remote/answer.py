"""A streamed answer in progress: its chunks as events, and what they add up to."""

import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, TextDelta, ThinkingDelta, Timings, Usage
from hermes_cli.chat.message import FinishReason
from hermes_cli.errors import EndpointError
from hermes_cli.remote.address import Address
from hermes_cli.remote.chunks import CallCollector, Chunk, SurrogateJoiner, read_chunk
from hermes_cli.remote.client import DONE
from hermes_cli.remote.faults import failure

_BROKEN_OFF = ("abort", "error")  # finish reasons of answers that the server gave up


def without_repeat(events: Iterable[GenerationEvent], begun: str) -> Generator[GenerationEvent]:
    """The events of an answer that may start again with the text that was `begun`, which is then dropped."""
    held = ""
    waiting = True
    for event in events:
        if not waiting or not isinstance(event, TextDelta):
            yield event
            continue
        held += event.text
        if held.startswith(begun) or not begun.startswith(held):
            waiting = False
            if rest := held.removeprefix(begun):
                yield TextDelta(rest)
    if waiting and held:
        yield TextDelta(held)


class Answer:
    """An answer in progress: what its chunks add up to."""

    def __init__(self, seed: int, started: float) -> None:
        self.usage = Usage()
        self.counted = False
        self.reason: FinishReason | None = None
        self._seed, self._started = seed, started
        self._first: float | None = None
        self._pieces = 0
        self._done = self._given_up = False
        self._calls = CallCollector()
        self._text, self._thinking = SurrogateJoiner(), SurrogateJoiner()
        self._in_text = False

    def events(self, address: Address, values: Iterable[Any]) -> Generator[GenerationEvent]:
        """The events of a stream's values. Raises EndpointError, also if the stream breaks off."""
        for value in values:
            if value is DONE:
                self._done = True
                break
            if error := failure(address, value):
                raise error
            yield from self._chunk(read_chunk(value))
        if rest := self._text.flush():
            yield TextDelta(rest)
        if blocks := self._calls.blocks():
            yield TextDelta(("\n" if self._in_text else "") + "\n".join(blocks))
        if self.reason is None and self._done and self._pieces and not self._given_up:
            self.reason = "stop"  # proxies of other APIs send no finish reason, or drop it
        if self.reason is None:
            raise EndpointError("the server ended the answer early", "the server's log may say why")

    def _chunk(self, chunk: Chunk) -> Generator[GenerationEvent]:
        if chunk.prompt_tokens:
            yield PromptProgress(*chunk.prompt_tokens)
        if chunk.text or chunk.calls or chunk.thinking:
            if self._first is None:
                self._first = time.perf_counter()
            self._pieces += 1
        if chunk.thinking and (thinking := self._thinking.feed(chunk.thinking)):
            yield ThinkingDelta(thinking)
        if text := self._text.feed(chunk.text):
            self._in_text = True
            yield TextDelta(text)
        if chunk.calls:
            self._calls.add(chunk.calls)
        if chunk.finish_reason in _BROKEN_OFF:
            self._given_up = True
        elif chunk.finish_reason:
            self.reason = "length" if chunk.finish_reason in ("length", "max_tokens") else "stop"
        if chunk.usage:
            self.usage, self.counted = chunk.usage, True

    def finished(self) -> Finished:
        """The closing event; without counts of the server every chunk counts as a token."""
        now = time.perf_counter()
        first = self._first or now
        usage = self.usage if self.counted else replace(self.usage, completion_tokens=self._pieces)
        return Finished(
            self.reason or "cancelled",
            usage,
            Timings(prefill_s=first - self._started, first_token_s=first - self._started, decode_s=now - first),
            self._seed,
            usage.prompt_tokens + usage.completion_tokens,
        )
