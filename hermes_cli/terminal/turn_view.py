"""One turn as the user sees it: the status line while waiting, the answer as it comes, what there is to say after."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hermes_cli.chat.events import Finished, PromptProgress, TextDelta
from hermes_cli.chat.request import CancelToken
from hermes_cli.terminal.answer_output import AnswerOutput
from hermes_cli.terminal.console import StatusLine, notice

if TYPE_CHECKING:
    from hermes_cli.session import Session


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was shown: its text and how it ended."""

    text: str
    finished: Finished

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped; a stop that comes after the last word stopped nothing."""
        return self.finished.reason == "cancelled"

    @property
    def empty(self) -> bool:
        """Whether it was stopped before there was any text."""
        return self.cancelled and not self.text


def show_turn(session: "Session", text: str, cancel: CancelToken, output: AnswerOutput) -> Turn:
    """Ask, and pass the answer to `output` as it comes, which is the caller's to end. What it raises stops the turn."""
    tell_control_text(session.control_text(text))
    status = StatusLine()
    pieces: list[str] = []
    finished: Finished | None = None
    try:
        with closing(session.send(text, cancel)) as events:
            for event in events:
                match event:
                    case PromptProgress(read_tokens, total_tokens):
                        status.show(f"reading prompt {thousands(total_tokens)} tok {read_tokens / total_tokens:.0%}")
                    case TextDelta(piece):
                        status.erase()
                        pieces.append(piece)
                        output.write(piece)
                    case Finished():
                        finished = event
    finally:
        status.erase()
    assert finished is not None, "a backend ends every generation with Finished"
    return Turn("".join(pieces), finished)


def tell_control_text(found: Iterable[str]) -> None:
    """Say which of the model's markers the prompt spells out: they are only text there."""
    if markers := ", ".join(found):
        notice(f"{markers} in the prompt: read as plain text, not as a marker")


def tell_cut(turn: Turn, session: "Session") -> None:
    """Say so where the answer ended because the window is full. A limit that the user set is no news."""
    finished = turn.finished
    if finished.reason == "length" and finished.usage.completion_tokens != session.max_tokens:
        notice(f"cut: the window of {session.backend.info.context_length:,} tokens is full")


def stats_line(finished: Finished, context_length: int) -> str:
    """Length and speed of an answer, and how full the window is."""
    usage, timings = finished.usage, finished.timings
    used = usage.prompt_tokens + usage.completion_tokens
    return (
        f"{usage.completion_tokens} tok · {tokens_per_second(finished):.1f} tok/s · "
        f"first {timings.first_token_s:.2f} s · ctx {thousands(used)}/{thousands(context_length)}"
    )


def tokens_per_second(finished: Finished) -> float:
    """The decoding speed: tokens after the first, over the time they took."""
    seconds = finished.timings.decode_s
    return max(finished.usage.completion_tokens - 1, 0) / seconds if seconds > 0 else 0.0


def thousands(count: int) -> str:
    """1234 as `1.2k`."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"
