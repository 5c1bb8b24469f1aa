"""The rounds of one turn: generate, run tool calls and return their results, or have invalid JSON corrected."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hermes_cli.backend import Backend
from hermes_cli.chat.events import (
    Finished,
    ResultsCut,
    TextDelta,
    ThinkingDelta,
    Timings,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    TurnEvent,
)
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import MOST_ROUNDS, TOOL_TIMEOUT_S, CancelToken, GenerationRequest
from hermes_cli.chat.tool_call import BrokenCall, ToolCall, ToolResult
from hermes_cli.errors import ContextOverflow, HermesError
from hermes_cli.formats.json.mode import json_part, parsed
from hermes_cli.formats.json.schema import Schema
from hermes_cli.session.shown_text import GAP, Outside
from hermes_cli.tools.results import fitting_limit, response_message
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.formats.tool_call_parser import ToolCallParser
    from hermes_cli.tools.approval import Decision
    from hermes_cli.tools.mcp import McpTools
    from hermes_cli.tools.toolbox import Toolbox

_UNKNOWN = "unknown"
_CUT = "not run: the answer was cut off before its end"
_TOO_MANY = "not run: no further call is allowed in this answer"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a session, and the consent asked for before one runs.

    `choice` is auto, none, required or a tool's name; after `max_rounds` rounds of calls the model must answer.
    """

    toolbox: "Toolbox"
    consent: "Callable[[ToolCall, CancelToken], Decision]"
    choice: str = "auto"
    max_rounds: int = MOST_ROUNDS
    timeout_s: float = TOOL_TIMEOUT_S
    notes: tuple[str, ...] = ()  # notes for the user from loading them
    servers: "McpTools | None" = None
    servers_wait: bool = False  # MCP servers were chosen, and are not started yet


class TurnLoop:
    """Generates one turn after the messages of `request`; answers and tool results are collected in `messages`.

    If the last message of the request is an answer, the rest of it is generated.
    """

    def __init__(
        self,
        backend: Backend,
        request: GenerationRequest,
        cancel: CancelToken,
        tools: ToolUse | None = None,
        most_repairs: int = 0,
    ) -> None:
        self._backend, self._request, self._cancel = backend, request, cancel
        self._tools = tools
        self._rounds_left = tools.max_rounds if tools and tools.choice != "none" else 0
        self._repairs_left = 0 if request.schema is None else most_repairs
        begun = request.messages[-1] if request.messages[-1].role == "assistant" else Message("assistant", "")
        self._part, self._thought = begun.content, begun.thinking
        self._before = request.messages[:-1] if self._part or self._thought else request.messages
        self._spoke = False
        self.messages: list[Message] = []
        self.finished: list[Finished] = []

    def run(self) -> Generator[TurnEvent]:
        """The events of all rounds, with one `Finished` for them together."""
        while True:
            try:
                calls = yield from self._generate()
            except ContextOverflow as too_long:
                if self.messages and self.messages[-1].role == "tool":
                    too_long.hint = f"allow fewer rounds of calls: --max-rounds N; or {too_long.hint}"
                raise
            if self.finished[-1].reason == "length":
                yield from (ToolFinished(ToolResult(_named(call), approved=False, error=_CUT)) for call in calls)
            if self.finished[-1].reason != "stop":
                break
            if calls:
                yield from self._run_calls(calls)
                if not self._rounds_left:
                    break
                self._rounds_left -= 1
            elif self._repairs_left and (complaint := self._complaint()):
                self._repairs_left -= 1
                self.messages.append(Message("user", complaint))
            else:
                break
            if self._cancel.cancelled:
                self.finished[-1] = replace(self.finished[-1], reason="cancelled")
                break
        if self.finished[-1].reason == "cancelled":
            self._mark_stopped()
        yield combined(self.finished)

    def _mark_stopped(self) -> None:
        """Mark the last answer as cancelled: its call may not have run, or its results were not read."""
        if self.messages and self.messages[-1].role == "user":
            self.messages.pop()
        for index in reversed(range(len(self.messages))):
            if self.messages[index].role == "assistant":
                self.messages[index] = replace(self.messages[index], finish_reason="cancelled")
                break

    def _generate(self) -> Generator[TurnEvent, None, list[ToolCall | BrokenCall]]:
        """Run one generation: yields its text outside of calls, and returns the calls if it was not cut."""
        parser = self._parser()
        # An answer that was cut right after a call holds a call that has not run.
        begun = parser.feed(self._part) if parser else ()
        calls = [one for one in begun if not isinstance(one, str)]
        pieces, thoughts = [self._part], [self._thought]
        finished: Finished | None = None
        later = bool(self.finished)
        outside = Outside(later=later, after_text=self._spoke)

        def passed_on(found: Sequence[str | ToolCall | BrokenCall]) -> Iterator[TextDelta]:
            calls.extend(one for one in found if not isinstance(one, str))
            return outside.deltas(found)

        try:
            if later and not parser:
                yield TextDelta(GAP)
            with closing(self._backend.generate(self._next_request(), self._cancel)) as events:
                for event in events:
                    match event:
                        case TextDelta(piece):
                            pieces.append(piece)
                            yield from passed_on(parser.feed(piece)) if parser else (event,)
                        case ThinkingDelta(piece):
                            thoughts.append(piece)
                            yield event
                        case Finished():
                            finished = event
                        case _:
                            yield event
            if parser:
                ended = finished is not None and finished.reason == "stop"
                yield from passed_on(parser.finish(ended=ended))
                yield from outside.rest()
        finally:
            self._spoke = self._spoke or outside.spoke
            said = "".join(pieces)
            if said != self._part or (finished and finished.reason != "cancelled"):
                reason = finished.reason if finished else "cancelled"
                self.messages.append(Message("assistant", said, reason, thinking="".join(thoughts)))
            self._part = self._thought = ""
        assert finished is not None, "a backend ends every generation with Finished"
        self.finished.append(finished)
        return calls

    def _parser(self) -> "ToolCallParser | None":
        """A parser of calls, if there are tools."""
        if not self._tools:
            return None
        from hermes_cli.formats.tool_call_parser import ToolCallParser

        return ToolCallParser()

    def _next_request(self) -> GenerationRequest:
        """The request of the next round: a required call is asked for once, and the last round must answer."""
        part = (Message("assistant", self._part, thinking=self._thought),) if self._part or self._thought else ()
        request = replace(self._request, messages=(*self._before, *self.messages, *part))
        if not self._tools:
            return request
        choice = "none" if not self._rounds_left else "auto" if self.finished else self._tools.choice
        return replace(request, tools=self._tools.toolbox.schemas, tool_choice=choice)

    def _run_calls(self, calls: Sequence[ToolCall | BrokenCall]) -> Generator[TurnEvent]:
        """Run the calls in order; all results go into one message, as in the model's training."""
        results: list[ToolResult] = []
        try:
            for call in calls:
                if isinstance(call, BrokenCall):
                    results.append(ToolResult(_named(call), approved=True, error=call.problem))
                    yield ToolFinished(results[-1])
                elif self._cancel.cancelled:
                    results.append(self._stopped(call))
                elif not self._rounds_left:
                    results.append(ToolResult(call, approved=False, error=_TOO_MANY))
                    yield ToolFinished(results[-1])
                else:
                    yield ToolCallReady(call)
                    results.append((yield from self._result(call)))
                    markers = self._backend.control_text((response_message(results[-1:]),))
                    yield ToolFinished(results[-1], markers)
        finally:
            missing = [call for call in calls[len(results) :] if isinstance(call, ToolCall)]
            results += [self._stopped(call) for call in missing]
            length, count, limit = self._backend.info.context_length, self._backend.count_tokens, None
            with suppress(HermesError):  # a template may refuse the results, but they must be saved
                limit = fitting_limit(results, self._next_request(), length, count)
            self.messages.append(response_message(results, limit))
        if limit is not None:
            yield ResultsCut(limit)

    def _stopped(self, call: ToolCall) -> ToolResult:
        return ToolResult(call, approved=False, error=f"not run: {self._cancel.stopper} stopped the answer")

    def _result(self, call: ToolCall) -> Generator[TurnEvent, None, ToolResult]:
        """Run a call and return its result; an invalid call is reported to the model without asking for consent."""
        assert self._tools is not None
        toolbox = self._tools.toolbox
        ready = toolbox.check(call)
        if isinstance(ready, str):
            return ToolResult(call, approved=True, error=ready)
        decision = self._tools.consent(call, self._cancel)
        if self._cancel.cancelled:
            return self._stopped(call)
        if not decision.approved:
            reason = f": {decision.reason}" if decision.reason else "."
            return ToolResult(call, approved=False, error=f"The user declined this call{reason}")
        yield ToolStarted(call)
        return toolbox.run(ready, timeout_s=self._tools.timeout_s, cancel=self._cancel)

    def _complaint(self) -> str | None:
        """The message to the model about JSON that does not satisfy the schema, None if it does."""
        if self._request.schema is None:
            return None
        found = schema_faults(self._request.schema, self.messages[-1].content)
        return f"Schema validation failed: {'; '.join(found)}. Return the corrected JSON object." if found else None


def _named(call: ToolCall | BrokenCall) -> ToolCall:
    """The call itself, or a stand-in for one that could not be parsed."""
    return call if isinstance(call, ToolCall) else ToolCall(_UNKNOWN, {})


def schema_faults(schema: Schema, text: str) -> list[str]:
    """The errors of a JSON answer by the schema; empty if it satisfies it."""
    from hermes_cli.formats.json.check import faults

    try:
        return faults(schema, parsed(json_part(text)))
    except (ValueError, RecursionError) as error:
        return [f"not JSON: {error}"]


def combined(finished: Sequence[Finished]) -> Finished:
    """One `Finished` for several generations: completion tokens and times are summed, the prompt is the last one's."""
    first, last = finished[0], finished[-1]
    if first is last:
        return last
    return Finished(
        last.reason,
        replace(last.usage, completion_tokens=sum(one.usage.completion_tokens for one in finished)),
        Timings(
            prefill_s=sum(one.timings.prefill_s for one in finished),
            first_token_s=first.timings.first_token_s,
            decode_s=sum(one.timings.decode_s for one in finished),
        ),
        first.seed,
        last.context_tokens,
    )
