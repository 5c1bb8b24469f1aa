"""Sessions for tests, made by the real writer."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.events import Finished, Timings, Usage
from hermes_cli.chat.message import Message
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import HermesError, UsageError
from hermes_cli.store.sessions.writer import Transcript

FINISHED = Finished("stop", Usage(12, 3, 5), Timings(), 7)


@contextmanager
def folders_in(place: Path) -> Iterator[None]:
    """Within the block the user's data and cache are in this folder, for this process and what it starts."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HERMES_CLI_DATA_DIR", str(place / "data"))
        environment.setenv("HERMES_CLI_CACHE_DIR", str(place / "cache"))
        yield


def turn(number: int, question: str = "", answer: str = "") -> Turn:
    """A turn of a question and a finished answer."""
    return Turn(
        number,
        (
            Message("user", question or f"question {number}"),
            Message("assistant", answer or f"answer {number}", "stop"),
        ),
    )


def begun(*turns: Turn, settings: SessionSettings | None = None, system_prompt: str | None = None) -> Transcript:
    """A new session with these turns one after another, still open."""
    transcript = Transcript.new(settings or SessionSettings("demo"), system_prompt)
    parent = None
    for said in turns:
        transcript.append_turn(said, parent, model="demo", finished=FINISHED)
        parent = said.id
    return transcript


def kept(*questions: str, title: str = "", used: int | None = None) -> Path:
    """The file of a session in which these questions were asked; `used` is the time of its last use."""
    transcript = begun(*(turn(number, question) for number, question in enumerate(questions, 1)))
    if title:
        transcript.set_title(title)
    transcript.close()
    if used is not None:
        os.utime(transcript.path, (used, used))
    return transcript.path


def ids(turns: Iterable[Turn]) -> list[int]:
    """Which turns these are."""
    return [said.id for said in turns]


def message(action: Callable[[], object], kind: type[HermesError] = UsageError) -> str:
    """Sentence and hint of the error that `action` raises."""
    with pytest.raises(kind) as caught:
        action()
    assert not caught.value.message.endswith(".")
    return f"{caught.value.message} | {caught.value.hint}"
