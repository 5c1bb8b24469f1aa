"""Separates a model's thinking, `<think>` to `</think>` at the beginning, from the answer."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from hermes_cli.chat.events import Finished, GenerationEvent, TextDelta, ThinkingDelta, TokenLogprob
from hermes_cli.formats.tags import THINK_END, THINK_START, tag_prefix_length
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of what a model thinks; never empty."""

    text: str


class ThinkingParser:
    """Takes an answer in pieces and separates thinking from text. The tags and the white space around them are dropped.

    Thinking is only at the start: later in an answer the tags are text.
    """

    def __init__(self, *, inside: bool = False) -> None:
        """`inside`: the prompt has opened the thinking already."""
        self._state, self._inside = "before", inside
        self._rest = ""
        self._fresh = True  # white space is dropped until something else comes

    def feed(self, text: str) -> list[str | Thought]:
        """The parts that can no longer change."""
        if self._state == "text" and not self._fresh:
            return [text] if text else []
        self._rest += text
        found: list[str | Thought] = []
        if self._state == "before":
            self._begin(found)
        if self._state == "thinking":
            self._think(found)
        if self._state == "text":
            self._answer(found)
        return found

    def finish(self) -> list[str | Thought]:
        """The rest; thinking without an end tag stays thinking."""
        rest, self._rest = self._rest, ""
        if not rest:
            return []
        if self._state == "thinking" or (self._inside and self._state == "before"):
            thought = rest.strip() if self._fresh else rest.rstrip()
            return [Thought(thought)] if thought.strip() else []
        return [rest] if self._state == "before" or rest.strip() else []

    def _begin(self, found: list[str | Thought]) -> None:
        begun = self._rest.lstrip()
        if begun.startswith(THINK_START):
            self._state, self._rest = "thinking", begun[len(THINK_START) :]
        elif not begun or THINK_START.startswith(begun):
            return
        elif self._inside:
            self._state = "thinking"
        else:
            found.append(self._rest)
            self._state, self._rest, self._fresh = "text", "", False

    def _think(self, found: list[str | Thought]) -> None:
        thought, end, after = self._rest.partition(THINK_END)
        thought = thought.lstrip() if self._fresh else thought
        if end:
            certain, rest = thought.rstrip(), after
        else:
            kept = len(thought) - tag_prefix_length(thought, THINK_END)
            certain = thought[:kept].rstrip()
            rest = thought[len(certain) :]
        if certain:
            found.append(Thought(certain))
            self._fresh = False
        self._rest = rest
        if end:
            self._state, self._fresh = "text", True

    def _answer(self, found: list[str | Thought]) -> None:
        text, self._rest = self._rest.lstrip(), ""
        if text:
            found.append(text)
            self._fresh = False


def thinking_apart(events: Generator[GenerationEvent], *, inside: bool = False) -> Generator[GenerationEvent]:
    """The events of an answer with what the model thinks as events of its own; `inside` as in ThinkingParser."""
    parser = ThinkingParser(inside=inside)
    held: tuple[TokenLogprob, ...] = ()  # tokens of text that the parser holds back
    with closing(events):
        for event in events:
            match event:
                case TextDelta(text, tokens):
                    held += tokens
                    if found := parser.feed(text):
                        yield from _deltas(found, held)
                        held = ()
                case Finished():
                    yield from _deltas(parser.finish(), held)
                    yield event
                case _:
                    yield event


def _deltas(found: Sequence[str | Thought], tokens: tuple[TokenLogprob, ...]) -> Iterator[GenerationEvent]:
    for one in found:
        yield ThinkingDelta(one.text) if isinstance(one, Thought) else TextDelta(one, tokens)


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt ends inside of thinking, so that the answer begins there."""
    return prompt.rstrip().endswith(THINK_START)


def without_thinking(answer: str) -> tuple[str, str]:
    """The thinking at the beginning of a whole answer, and the rest."""
    parser = ThinkingParser()
    found = parser.feed(answer) + parser.finish()
    thinking = "".join(one.text for one in found if isinstance(one, Thought))
    return thinking, "".join(one for one in found if isinstance(one, str))
