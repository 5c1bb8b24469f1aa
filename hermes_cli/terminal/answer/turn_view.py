"""Shows an answer in the terminal: the status line while waiting, the text as it arrives, and notices after it."""

import json
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.chat.events import (
    Finished,
    PromptProgress,
    ResultsCut,
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    TurnEvent,
)
from hermes_cli.chat.tool_call import ToolResult
from hermes_cli.errors import HermesError, shortened
from hermes_cli.terminal.answer.figures import Figures
from hermes_cli.terminal.answer.output import AnswerOutput
from hermes_cli.terminal.answer.thinking_view import ThinkingView
from hermes_cli.terminal.console import StatusLine, notice
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.backend import BackendInfo
    from hermes_cli.session.session import Session

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer that was shown: its text, how it ended, its tool calls and the reasoning before it."""

    text: str
    finished: Finished
    tool_results: tuple[ToolResult, ...] = ()
    thinking: str = ""

    @property
    def cancelled(self) -> bool:
        """Whether the answer was stopped before its end."""
        return self.finished.reason == "cancelled"

    @property
    def empty(self) -> bool:
        """Whether it was stopped before there was any text."""
        return self.cancelled and not self.text


def show_answer(events: Generator[TurnEvent], output: AnswerOutput) -> ShownAnswer:
    """Pass the text of `events` to `output` as it comes, which is the caller's to end. What it raises stops them."""
    status, thinking_view, figures = StatusLine(), ThinkingView(), Figures()
    beside = output.watch(figures.line)
    pieces: list[str] = []
    thoughts: list[str] = []
    results: list[ToolResult] = []
    finished: Finished | None = None
    try:
        with closing(events):
            for event in events:
                if not isinstance(event, ThinkingDelta):
                    thinking_view.end()
                match event:
                    case ThinkingDelta(piece):
                        if not thoughts:
                            status.erase()
                        thoughts.append(piece)
                        figures.add(piece)
                        if not thinking_view.write(piece):
                            status.show(lambda: " · ".join(filter(None, ("thinking", figures.line()))))
                    case PromptProgress(read_tokens, total_tokens):
                        status.show(f"processing prompt {thousands(total_tokens)} tok {read_tokens / total_tokens:.0%}")
                    case TextDelta(piece):
                        figures.add(piece)
                        pieces.append(piece)
                        if beside:
                            status.show(lambda: figures.line() or "writing")
                        else:
                            status.erase()
                        output.write(piece)
                    case ToolCallReady():
                        output.pause()
                        status.erase()
                    case ToolStarted(call):
                        status.show(_running(call.name))
                    case ToolFinished(result, markers):
                        output.pause()
                        status.erase()
                        results.append(result)
                        notice(tool_line(result))
                        print_control_text(markers, f"the result of {result.call.name}")
                    case ResultsCut(limit):
                        notice(f"results are cut to {limit:,} characters to fit the context")
                    case Finished():
                        finished = event
    finally:
        thinking_view.end()
        status.erase()
    assert finished is not None, "a backend ends every generation with Finished"
    return ShownAnswer("".join(pieces), finished, tuple(results), "".join(thoughts))


def _running(name: str) -> Callable[[], str]:
    """The status of a tool that runs from now on."""
    began = time.monotonic()
    return lambda: f"running {name} · {time.monotonic() - began:.0f} s"


def tool_line(result: ToolResult) -> str:
    """A call and its result, on one line."""
    arguments = ", ".join(f"{name}={_short(value)}" for name, value in result.call.arguments.items())
    outcome = _short(result.value) if result.error is None else shortened(result.error, _SHOWN_CHARACTERS)
    return f"{result.call.name}({arguments}) → {outcome}"


def _short(value: object) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), _SHOWN_CHARACTERS)


def print_loaded(info: "BackendInfo", *, verbose: bool, in_chat: bool = False) -> None:
    """Print the notes about a loaded model; in a chat also its placement, with `verbose` everything about it."""
    notice(*info.notes)
    if verbose:
        notice(f"{info.model_name} · {info.description} · {plan_line(info)} · loaded in {info.load_s:.2f} s")
    elif in_chat:
        notice(plan_line(info))
    if info.advice and (verbose or in_chat):
        notice(info.advice)


def print_tool_cost(session: "Session") -> None:
    """Print how much of the context the tools take, where some are of MCP servers."""
    if session.tools and session.tools.toolbox.tools:
        from hermes_cli.session.tool_cost import tool_cost_note

        with suppress(HermesError):  # a template that refuses tools says so when it is asked
            if note := tool_cost_note(session):
                notice(note)


def print_new_notes(info: "BackendInfo", known: "BackendInfo") -> None:
    """Print the notes that were added to `known` while the model answered."""
    notice(*info.notes[len(known.notes) :])


def plan_line(info: "BackendInfo") -> str:
    """How a model was loaded: `GPU 33/33 · ctx 16.4k · 7.5 GB`, then its LoRA adapters."""
    size = (info.memory_bytes or 0) / 1e9
    memory = f" · {size:.{2 if size < 1 else 1}f} GB" if size else ""
    adapters = (f" · LoRA {Path(path).name}{'' if scale == 1 else f' x {scale:g}'}" for path, scale in info.adapters)
    return f"{info.placement} · ctx {thousands(info.context_length)}{memory}{''.join(adapters)}"


def print_control_text(found: Iterable[str], place: str = "the prompt") -> None:
    """Say which of the model's markers are spelled out in `place`: they are only text there."""
    if markers := ", ".join(found):
        notice(f"{markers} in {place}: read as plain text, not as a marker")


def print_cut(finished: Finished, session: "Session", limit_hint: str = "") -> None:
    """Print a notice if the context is full, or, with a hint on how to continue, if max tokens ended the answer."""
    if finished.reason != "length":
        return
    if finished.context_tokens >= session.backend.info.context_length:
        notice(f"cut: the context of {session.backend.info.context_length:,} tokens is full")
    elif limit_hint:
        notice(f"cut at max tokens: {limit_hint}")


def print_saving_problem(session: "Session") -> None:
    """Print why a turn could not be saved yet."""
    if problem := session.saving_problem:
        notice(f"not saved yet: {problem.message}; {problem.hint}")


def stats_line(finished: Finished, context_use: str) -> str:
    """Length and speed of an answer, and the use of the context as a text."""
    speed = tokens_per_second(finished)
    parts = [f"{finished.usage.completion_tokens} tok", f"{speed:.1f} tok/s" if speed else ""]
    parts += [f"first {finished.timings.first_token_s:.2f} s", context_use]
    return " · ".join(filter(None, parts))


def context_use(used_tokens: int | None, context_length: int) -> str:
    """How much of the context is used, if that is known: `ctx 3.1k/16.4k`."""
    used = "" if used_tokens is None else f"{thousands(used_tokens)}/"
    return f"ctx {used}{thousands(context_length)}"


def tokens_per_second(finished: Finished) -> float:
    """The decoding speed: tokens after the first, over the time they took."""
    seconds = finished.timings.decode_s
    return max(finished.usage.completion_tokens - 1, 0) / seconds if seconds > 0 else 0.0


def thousands(count: int) -> str:
    """1234 as `1.2k`."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"
