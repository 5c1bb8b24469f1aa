"""From messages to token ids: choosing the prompt format, and tokenising so that no content becomes a marker."""

import errno
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.chat.message import Message
from hermes_cli.engine.cache.token_cache import TokenCache
from hermes_cli.engine.llama.model import Model
from hermes_cli.errors import EngineError, HermesError, UsageError
from hermes_cli.files import encoding_of
from hermes_cli.formats import chatml
from hermes_cli.formats.segment import Segment, joined, merged
from hermes_cli.formats.tagged import tagged
from hermes_cli.formats.tags import ALL_TAGS, THINK_END, THINK_START
from hermes_cli.formats.thinking import opens_thinking
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.formats.jinja_template import JinjaTemplate


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt: its text in segments and its token ids, BOS included.

    `inside_thinking` if the answer begins with reasoning.
    """

    segments: tuple[Segment, ...]
    tokens: list[int]
    inside_thinking: bool = False


class PromptWriter:
    """Writes conversations for one model. `template`: `auto`, `chatml`, `embedded`, or the path of a Jinja file.

    `auto` is our own ChatML where the file's template writes the same, else the template.
    """

    def __init__(self, model: Model, template: str = "auto") -> None:
        self._model = model
        self._controls = model.control_tokens
        self._tags = frozenset(self._controls).intersection(ALL_TAGS)
        self._texts = TokenCache(model.tokenize)
        speaks_chatml = all(marker in self._controls for marker in chatml.MARKERS)
        try:
            self._template = self._chosen(template, speaks_chatml)
        except HermesError as problem:
            problem.setting = "template"
            raise

    def _chosen(self, name: str, speaks_chatml: bool) -> "JinjaTemplate | None":
        """The template to write with; None for our own ChatML."""
        if name == "chatml" and not speaks_chatml:
            raise UsageError("this model has no ChatML markers", "specify a template: --template FILE")
        if name == "chatml":
            return None
        if name not in ("auto", "embedded"):
            return self._jinja(_read_template(Path(name)))
        source = self._model.chat_template()
        if name == "auto" and speaks_chatml and (source is None or chatml.is_known_chatml(source)):
            return None
        if source is None:
            raise EngineError("the model file has no chat template", "specify one: --template FILE")
        template = self._jinja(source)
        return None if name == "auto" and speaks_chatml and _is_chatml(template) else template

    def segments(self, messages: Iterable[Message], *, thinking: bool = True) -> tuple[Segment, ...]:
        """The prompt for the assistant's next message; a last message of the assistant is continued instead.

        Without `thinking` the model is to answer at once, where its template has it think first.
        """
        return self._written(messages, thinking)[0]

    def write(self, messages: Iterable[Message], *, thinking: bool = True) -> Prompt:
        """The same with its token ids; messages that were tokenised before are not tokenised again."""
        segments, inside = self._written(messages, thinking)
        tokens = [self._model.bos] if self._model.adds_bos and self._model.bos is not None else []
        for segment in segments:
            if segment.special:
                tokens.append(self._controls[segment.text])
            else:
                tokens += self._texts.tokens(segment.text)
        return Prompt(segments, tokens, inside)

    def _written(self, messages: Iterable[Message], thinking: bool) -> tuple[tuple[Segment, ...], bool]:
        """The prompt, and whether it ends inside of thinking."""
        *before, last = (*messages, Message("assistant", ""))
        if before and before[-1].role == "assistant":
            *before, last = before
        if self._template is None:
            segments = chatml.write(before, tags=self._tags)
        else:
            segments = self._template.write(before, thinking=thinking)
        opened = opens_thinking(joined(segments[-3:]))
        begun = "" if opened or not last.thinking else f"{THINK_START}\n"
        inside = thinking and not last.content and (opened or bool(last.thinking))
        closed = f"{THINK_END}\n\n" if (opened or last.thinking) and not inside else ""
        if closed and last.thinking:
            closed = f"\n{closed}"
        said = Message("assistant", f"{begun}{last.thinking}{closed}{last.content}")
        return merged((*segments, *tagged(said, self._tags))), inside

    def control_text(self, messages: Iterable[Message]) -> tuple[str, ...]:
        """The control tokens that are spelled out in the messages, where they count as ordinary text."""
        found: dict[str, None] = {}
        for message in messages:
            for segment in tagged(message, self._tags):
                if not segment.special:
                    found.update(dict.fromkeys(self._control_pattern.findall(segment.text)))
        return tuple(found)

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        texts = sorted(filter(None, self._controls), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def _jinja(self, source: str) -> "JinjaTemplate":
        from hermes_cli.formats.jinja_template import JinjaTemplate

        return JinjaTemplate(
            source,
            bos=self._text_of(self._model.bos),
            adds_bos=self._model.adds_bos,
            eos=self._text_of(self._model.eos),
            control_texts=self._controls,
        )

    def _text_of(self, token: int | None) -> str:
        return "" if token is None else self._model.piece(token).decode("utf-8", "replace")


def _is_chatml(template: "JinjaTemplate") -> bool:
    from hermes_cli.formats import probes

    try:
        return probes.writes_chatml(template.write)
    except HermesError:
        return False


def _read_template(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "not a file")
        data = path.read_bytes()
        return data.decode(encoding_of(data)).replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"cannot read the template {path}: {why}", "use auto, chatml, embedded or the path of a Jinja file"
        ) from error
