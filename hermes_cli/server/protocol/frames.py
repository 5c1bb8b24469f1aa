"""Events of a generation as the objects of the API: chunks of a stream, or one whole answer. Pure functions."""

import json
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hermes_cli.chat.events import (
    Finished,
    GenerationEvent,
    PromptProgress,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
)
from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.formats.tool_call_parser import ToolCallParser

LegacyTokens = list[tuple[bytes, TokenLogprob | None]]  # None for the first token of a prompt
_LOWEST_LOGPROB = -9999.0  # JSON has no minus infinity


@dataclass(frozen=True, slots=True)
class Head:
    """What all objects of one answer begin with."""

    id: str
    kind: str
    model: str
    created: int

    def object(self, choices: list[Any], **more: Any) -> dict[str, Any]:
        """An object with these choices."""
        return {
            "id": self.id,
            "object": self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "hermes",
            "choices": choices,
            **more,
        }


def new_head(kind: str, model: str) -> Head:
    """The head of a new answer; `kind` is the `object` field."""
    prefix = "chatcmpl" if kind.startswith("chat") else "cmpl"
    return Head(f"{prefix}-{secrets.token_hex(12)}", kind, model, int(time.time()))


@dataclass
class ChatChoice:
    """One choice of a chat answer in progress: its text and calls so far."""

    index: int
    with_tools: bool = False
    parallel_calls: bool = True
    logprobs: bool = False
    text: str = ""
    thinking: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[TokenLogprob] = field(default_factory=list)
    finished: Finished | None = None

    def __post_init__(self) -> None:
        self._parser = ToolCallParser() if self.with_tools else None
        self._sent_tokens = 0

    @property
    def complete(self) -> bool:
        """Whether nothing more is wanted: a call came, and only one was allowed."""
        return bool(self.calls) and not self.parallel_calls

    def opening(self) -> list[dict[str, Any]]:
        """The first chunk's choice, which names the role."""
        return [self._delta({"role": "assistant", "content": ""})]

    def nothing(self) -> dict[str, Any]:
        """The choice of a chunk without text."""
        return self._delta({})

    def deltas(self, event: GenerationEvent) -> list[dict[str, Any]]:
        """The choices of the chunks that an event makes; the last one carries the finish reason."""
        if isinstance(event, ThinkingDelta):
            self.thinking += event.text
            return [self._delta({"reasoning_content": event.text})]
        if isinstance(event, TextDelta):
            found = self._parser.feed(event.text) if self._parser else [event.text]
            self.tokens += event.tokens
            return self._found(found)
        if isinstance(event, Finished):
            self.finished = event
            rest = self._parser.finish(ended=event.reason == "stop") if self._parser else []
            last = self._found(rest)
            return [*last, self.nothing() | self._new_logprobs() | {"finish_reason": self.finish_reason}]
        return []

    @property
    def finish_reason(self) -> str:
        """As OpenAI names it."""
        if self.calls and (self.complete or (self.finished and self.finished.reason == "stop")):
            return "tool_calls"
        return "length" if self.finished and self.finished.reason == "length" else "stop"

    def whole(self) -> dict[str, Any]:
        """The choice of an answer that is not streamed."""
        text = self.text.strip() if self.calls else self.text
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text or (None if self.calls else ""),
            "refusal": None,
        }
        if self.thinking:
            message["reasoning_content"] = self.thinking
        if self.calls:
            message["tool_calls"] = [{name: call[name] for name in ("id", "type", "function")} for call in self.calls]
        logprobs = {"content": list(map(_chat_logprob, self.tokens))} if self.logprobs else None
        return {"index": self.index, "message": message, "finish_reason": self.finish_reason, "logprobs": logprobs}

    def _found(self, found: Sequence[str | ToolCall | BrokenCall]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for piece in found:
            if self.complete:
                break
            if isinstance(piece, ToolCall):
                deltas += self._call(piece)
                continue
            text = piece if isinstance(piece, str) else piece.text
            self.text += text
            if text and not (self.calls and not text.strip()):
                deltas.append(self._delta({"content": text}) | self._new_logprobs())
        return deltas

    def _new_logprobs(self) -> dict[str, Any]:
        """The field `logprobs` with the tokens that no chunk had yet; nothing where there are none."""
        new, self._sent_tokens = self.tokens[self._sent_tokens :], len(self.tokens)
        return {"logprobs": {"content": list(map(_chat_logprob, new))}} if self.logprobs and new else {}

    def _call(self, call: ToolCall) -> list[dict[str, Any]]:
        """Two chunks, as OpenAI sends them: the name first, then the arguments."""
        number = len(self.calls)
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        head = {"id": f"call_{secrets.token_hex(12)}", "type": "function"}
        self.calls.append({**head, "function": {"name": call.name, "arguments": arguments}})
        first = {"index": number, **head, "function": {"name": call.name, "arguments": ""}}
        second = {"index": number, "function": {"arguments": arguments}}
        return [self._delta({"tool_calls": [part]}) for part in (first, second)]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "finish_reason": None}


@dataclass
class TextChoice:
    """One choice of a raw completion in progress; `echoed` are the prompt's tokens where they are sent back."""

    index: int
    logprobs: int | None = None
    prefix: str = ""
    echoed: LegacyTokens = field(default_factory=list)
    text: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    finished: Finished | None = None
    complete: ClassVar[bool] = False  # it always runs to its end

    def opening(self) -> list[dict[str, Any]]:
        """The first chunk's choice: the prompt, if it is sent back."""
        return [self._delta(self.prefix, self.echoed, 0)] if self.prefix else []

    def nothing(self) -> dict[str, Any]:
        """The choice of a chunk without text."""
        return {"index": self.index, "text": "", "logprobs": None, "finish_reason": None}

    def deltas(self, event: GenerationEvent) -> list[dict[str, Any]]:
        """The choices of the chunks that an event makes; the last one carries the finish reason."""
        if isinstance(event, TextDelta):
            offset = len(self.prefix) + len(self.text)
            self.text += event.text
            self.tokens += event.tokens
            return [self._delta(event.text, _pairs(event.tokens), offset)]
        if isinstance(event, Finished):
            self.finished = event
            return [self.nothing() | {"finish_reason": self.finish_reason}]
        return []

    @property
    def finish_reason(self) -> str:
        """As OpenAI names it."""
        return "length" if self.finished is None or self.finished.reason == "length" else "stop"

    def whole(self) -> dict[str, Any]:
        """The choice of an answer that is not streamed."""
        logprobs = None
        if self.logprobs is not None:
            logprobs = legacy_logprobs([*self.echoed, *_pairs(self.tokens)], 0, self.logprobs)
        return {
            "index": self.index,
            "text": self.prefix + self.text,
            "logprobs": logprobs,
            "finish_reason": self.finish_reason,
        }

    def _delta(self, text: str, tokens: LegacyTokens, offset: int) -> dict[str, Any]:
        logprobs = None if self.logprobs is None else legacy_logprobs(tokens, offset, self.logprobs)
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": None}


def legacy_logprobs(tokens: LegacyTokens, offset: int, top: int) -> dict[str, list[Any]]:
    """Log probabilities as raw completions have them: parallel lists; None for a first token of a prompt."""
    texts = [piece.decode("utf-8", "replace") for piece, _ in tokens]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [None if one is None else _number(one.logprob) for _, one in tokens],
        "top_logprobs": [None if one is None else _top(one, top) for _, one in tokens],
        "text_offset": offsets,
    }


def usage_object(usages: Sequence[Usage], choices: int) -> dict[str, Any]:
    """The token counts of an answer with as many `choices` for each prompt, which counts once."""
    prompt = sum(usage.prompt_tokens for usage in usages[::choices])
    completion = sum(usage.completion_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in usages[::choices])},
    }


def timings_object(finished: Finished) -> dict[str, Any]:
    """Counts and speeds in llama.cpp's names."""
    usage, timings = finished.usage, finished.timings
    processed = usage.prompt_tokens - usage.cached_tokens
    return {
        "cache_n": usage.cached_tokens,
        "prompt_n": processed,
        "prompt_ms": timings.prefill_s * 1000,
        "prompt_per_second": processed / timings.prefill_s if timings.prefill_s else 0.0,
        "predicted_n": usage.completion_tokens,
        "predicted_ms": timings.decode_s * 1000,
        "predicted_per_second": usage.completion_tokens / timings.decode_s if timings.decode_s else 0.0,
    }


def progress_object(progress: PromptProgress, cached: int) -> dict[str, int]:
    """How much of the prompt is processed, cached tokens included, in llama.cpp's names."""
    return {"total": progress.total_tokens, "cache": cached, "processed": progress.read_tokens}


def _chat_logprob(token: TokenLogprob) -> dict[str, Any]:
    def one(each: TokenLogprob) -> dict[str, Any]:
        text = each.piece.decode("utf-8", "replace")
        return {"token": text, "logprob": _number(each.logprob), "bytes": list(each.piece)}

    return {**one(token), "top_logprobs": list(map(one, token.top))}


def _pairs(tokens: Sequence[TokenLogprob]) -> LegacyTokens:
    return [(token.piece, token) for token in tokens]


def _top(token: TokenLogprob, count: int) -> dict[str, float]:
    """The likeliest tokens and the chosen one; of two with the same text the likelier counts."""
    found: dict[str, float] = {}
    for one in (*token.top[:count], token):
        found.setdefault(one.piece.decode("utf-8", "replace"), _number(one.logprob))
    return found


def _number(value: float) -> float:
    return value if math.isfinite(value) else _LOWEST_LOGPROB
