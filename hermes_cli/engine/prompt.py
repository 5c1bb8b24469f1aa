"""From messages to token ids: which format a model speaks, and tokenising so that no content becomes a marker."""

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hermes_cli.chat.message import Message
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.token_cache import TokenCache
from hermes_cli.errors import EngineError, UsageError
from hermes_cli.formats import chatml
from hermes_cli.formats.segment import Segment, merged


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads: its text in segments and its token ids, BOS included."""

    segments: tuple[Segment, ...]
    tokens: list[int]


class PromptWriter:
    """Writes conversations for one model. `template`: `auto`, `chatml`, `embedded`, or the path of a Jinja file."""

    def __init__(self, model: Model, template: str = "auto") -> None:
        self._model = model
        self._controls = model.control_tokens
        self._texts = TokenCache(model.tokenize)
        speaks_chatml = all(marker in self._controls for marker in chatml.MARKERS)
        if template == "auto":
            template = "chatml" if speaks_chatml else "embedded"
        if template == "chatml" and not speaks_chatml:
            raise UsageError("this model has no ChatML markers", "specify a template: --template FILE")
        self.format_name = template
        self._write: Callable[[Iterable[Message]], tuple[Segment, ...]] = chatml.write
        if template != "chatml":
            self._write = self._jinja(template)

    def segments(self, messages: Iterable[Message]) -> tuple[Segment, ...]:
        """The prompt for the assistant's next message; a last message of the assistant is continued instead."""
        *before, last = (*messages, None)
        if before and before[-1].role == "assistant":
            *before, last = before
        return merged((*self._write(before), Segment(last.content))) if last else self._write(before)

    def write(self, messages: Iterable[Message]) -> Prompt:
        """The same with its token ids; messages that were tokenised before are not tokenised again."""
        segments = self.segments(messages)
        tokens = [self._model.bos] if self._model.adds_bos and self._model.bos is not None else []
        for segment in segments:
            if segment.special:
                tokens.append(self._controls[segment.text])
            else:
                tokens += self._texts.tokens(segment.text)
        return Prompt(segments, tokens)

    def control_text(self, messages: Iterable[Message]) -> tuple[str, ...]:
        """The control tokens that are spelled out in the messages, where they count as ordinary text."""
        found: dict[str, None] = {}
        for message in messages:
            found.update(dict.fromkeys(self._control_pattern.findall(message.content)))
        return tuple(found)

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        texts = sorted(filter(None, self._controls), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def _jinja(self, template: str) -> Callable[[Iterable[Message]], tuple[Segment, ...]]:
        from hermes_cli.formats.jinja_template import JinjaTemplate

        if template == "embedded":
            source = self._model.chat_template()
            if source is None:
                raise EngineError("the model file has no chat template", "specify one: --template FILE")
        else:
            source = _read_template(Path(template))
        return JinjaTemplate(
            source,
            bos=self._text_of(self._model.bos),
            adds_bos=self._model.adds_bos,
            eos=self._text_of(self._model.eos),
            control_texts=self._controls,
        ).write

    def _text_of(self, token: int | None) -> str:
        return "" if token is None else self._model.piece(token).decode("utf-8", "replace")


def _read_template(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "not a file")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"cannot read the template {path}: {why}", "use auto, chatml, embedded or the path of a Jinja file"
        ) from error
