"""One turn as the user sees it: the status line while waiting, the answer as it comes, what there is to say after."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, TextDelta
from hermes_cli.terminal.answer_output import AnswerOutput
from hermes_cli.terminal.console import StatusLine


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was shown: its text and how it ended."""

    text: str
    finished: Finished


def show_turn(events: Generator[GenerationEvent], output: AnswerOutput) -> Turn:
    """Pass the answer to `output` as it comes. What `output` raises stops the turn."""
    status = StatusLine()
    pieces: list[str] = []
    finished: Finished | None = None
    try:
        with closing(events):
            for event in events:
                match event:
                    case PromptProgress(read_tokens, total_tokens):
                        status.show(f"reading prompt {thousands(total_tokens)} tok {read_tokens / total_tokens:.0%}")
                    case TextDelta(text):
                        status.erase()
                        pieces.append(text)
                        output.write(text)
                    case Finished():
                        finished = event
    finally:
        status.erase()
    assert finished is not None, "a backend ends every generation with Finished"
    return Turn("".join(pieces), finished)


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
