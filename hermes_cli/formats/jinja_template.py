"""Another model's own chat template, run in a sandbox: conversations written the way its GGUF asks for.

Before the template is compiled, every control token's text among its own literals is put between two marks. Contents
reach it unchanged but can hold no mark, so only what the template itself wrote, or built around a role's name, becomes
a special segment; whatever it joins, trims or repeats of a content stays plain text. Time and memory are not limited.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from hermes_cli.chat.message import Message, Role
from hermes_cli.errors import EngineError, HermesError, UsageError
from hermes_cli.formats import probes
from hermes_cli.formats.segment import Segment, merged
from hermes_cli.formats.tagged import tagged
from hermes_cli.formats.tags import ALL_TAGS
from hermes_cli.formats.template_messages import plain, plain_messages, structured_messages, without_roles
from hermes_cli.formats.tool_call_parser import ToolCallParser

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

# Lone surrogates: a content cannot hold them, since what UTF-8 cannot write is `?` in it, as for the tokenizer.
_OPEN, _CLOSE = "\ud800", "\udbff"
_MARKED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_SEARCHES = frozenset({"count", "endswith", "find", "replace", "rsplit", "split", "startswith"})
_HINT = "specify another template: --template FILE"


class JinjaTemplate:
    """A chat template; its special segments are the control tokens that the template itself wrote, and our own tags."""

    def __init__(
        self, source: str, *, bos: str, eos: str, control_texts: Collection[str], adds_bos: bool = True
    ) -> None:
        """Compile `source`. `adds_bos`: the tokenizer puts `bos` first, so the template's own there is left out."""
        self._leading_bos, self._control_texts = (bos if adds_bos else None), frozenset(control_texts)
        self._tags = self._control_texts.intersection(ALL_TAGS)
        self._variables = {"bos_token": _marked(bos), "eos_token": _marked(eos), "documents": None}
        self._without_tools: list[Any] | None = None
        try:
            environment = _environment()
            tree = environment.parse(source)
            _mark(tree, (self._control_texts | {bos, eos}) - {""})
            self._template = environment.from_string(tree)
        except Exception as error:
            raise EngineError(f"the model's chat template cannot be read: {_reason(error)}", _HINT) from error

    def write(self, messages: Iterable[Message], *, reply: bool = True, thinking: bool = True) -> tuple[Segment, ...]:
        """The conversation as the template writes it; with `reply` it ends where the assistant's answer starts.

        Without `thinking` a template that can is asked to have the model answer at once.
        """
        if self.takes_tools:
            given, tools = structured_messages(messages, self._content)
        else:
            given, tools = plain_messages(messages, self._content), None
        given = without_roles(given, self.missing_roles) if self.missing_roles else given
        return merged(self._segments(self._rendered(given, tools, reply=reply, thinking=thinking)))

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the template offers tools, and writes calls in the form that we parse and enforce."""
        try:
            given, tools = structured_messages(probes.WITH_TOOLS, self._content)
            text = _unmarked(self._rendered(given, tools, reply=False, thinking=True))
        except HermesError:
            return False
        parser = ToolCallParser()
        found = parser.feed(text) + parser.finish()
        return probes.CALL in found and probes.DESCRIPTION in text and probes.RESULT in text

    @cached_property
    def missing_roles(self) -> frozenset[str]:
        """Those of system and tool whose messages the template refuses, or leaves out without saying so."""
        return frozenset(role for role, probe in probes.ROLES.items() if not self._shows(probe))

    def _shows(self, probe: tuple[Message, ...]) -> bool:
        """Whether the template writes every message of a conversation."""
        try:
            text = self._rendered(plain_messages(probe, self._content), None, reply=True, thinking=True)
        except HermesError:
            return False
        return all(message.content in text for message in probe)

    def _content(self, message: Message) -> str:
        """The text of a message; marks can only be around tags that are not content."""
        pieces = tagged(message, self._tags)
        return "".join(_marked(one.text) if one.special else plain(one.text) for one in pieces)

    def _rendered(
        self, given: list[dict[str, Any]], tools: list[dict[str, Any]] | None, *, reply: bool, thinking: bool
    ) -> str:
        variables = {
            **self._variables,
            "messages": given,
            "add_generation_prompt": reply,
            "enable_thinking": thinking,
            "date_string": datetime.now().strftime("%d %b %Y"),
        }
        try:
            if tools is None and self._without_tools is None:
                with suppress(TypeError):  # a template for tools alone goes through them whether there are any or not
                    return self._template.render(variables, tools=None)
                self._without_tools = []
            return self._template.render(variables, tools=tools or self._without_tools)
        except HermesError:
            raise
        except Exception as error:
            raise EngineError(f"the model's chat template failed: {_reason(error)}", _HINT) from error

    def _segments(self, text: str) -> Iterator[Segment]:
        """Marked control texts as special segments, everything else plain, without a BOS that the tokenizer adds."""
        pieces = _MARKED.split(text)
        if pieces[0] == "" and pieces[1:2] == [self._leading_bos]:
            del pieces[:2]
        for index, piece in enumerate(pieces):
            yield Segment(_unmarked(piece), special=index % 2 == 1 and piece in self._control_texts)


def _environment() -> "Environment":
    """Jinja as Hugging Face sets it up for chat templates."""
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the assistant's text for training; here only its contents count."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    extensions = [Generation, loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _tojson
    environment.globals.update(raise_exception=_refuse, strftime_now=lambda form: datetime.now().strftime(form))
    return environment


def _tojson(value: object, ensure_ascii: bool = False, **options: Any) -> str:
    """Plain JSON, where Jinja's own filter would sort keys and escape for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _refuse(reason: object) -> None:
    """Called by a template that does not support a conversation."""
    raise UsageError(f"the model's chat template refuses this conversation: {_reason(reason)}", _HINT)


def _reason(error: object) -> str:
    """What went wrong on one line, for errors without a text their kind."""
    return _unmarked(" ".join(str(error).split())) or type(error).__name__


def _marked(text: str) -> str:
    return f"{_OPEN}{text}{_CLOSE}" if text else ""


def _unmarked(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _mark(tree: "nodes.Template", texts: Collection[str]) -> None:
    """Put marks around the control texts that the template may write, not around those it only looks for."""
    from jinja2 import nodes

    looked_for: set[int] = set()
    for node in tree.find_all((nodes.Compare, nodes.Call, nodes.Filter)):
        if isinstance(node, nodes.Compare):
            looked_for |= {id(literal) for literal in node.find_all(nodes.Const)}
        elif isinstance(node, nodes.Call | nodes.Filter):
            name = node.name if isinstance(node, nodes.Filter) else getattr(node.node, "attr", "")
            looked_for |= {id(argument) for argument in node.args[:1] if name in _SEARCHES}
    cuts = {text.partition(role) for text in texts for role in get_args(Role) if role in text}
    for written in tree.find_all((nodes.Output, nodes.Add, nodes.Concat)):
        _mark_around_roles(_parts(written), {(before, after) for before, _, after in cuts if before and after})
    pattern = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)) or "(?!)")
    for literal in tree.find_all((nodes.Const, nodes.TemplateData)):
        if _text(literal) and id(literal) not in looked_for:
            _rewrite(literal, pattern.sub(_marked(r"\g<0>"), _text(literal)))


def _mark_around_roles(parts: list["nodes.Node"], frames: Collection[tuple[str, str]]) -> None:
    """Put marks where literals and the role between them make a control text, as in `'<|' + message.role + '|>'`."""
    for left, role, right in zip(parts, parts[1:], parts[2:], strict=False):
        fitting = (frame for frame in frames if _text(left).endswith(frame[0]) and _text(right).startswith(frame[1]))
        before, after = max(fitting, key=lambda frame: len(frame[0]), default=("", ""))
        if before and _OPEN not in _text(left) and "role" in repr(role) and "content" not in repr(role):
            _rewrite(left, _text(left).removesuffix(before) + _OPEN + before)
            _rewrite(right, after + _CLOSE + _text(right).removeprefix(after))


def _parts(node: "nodes.Node") -> list["nodes.Node"]:
    """What an output, `+` or `~` writes, from left to right."""
    whole = type(node).__name__ in ("Output", "Add", "Concat")
    return [part for child in node.iter_child_nodes() for part in _parts(child)] if whole else [node]


def _text(node: "nodes.Node") -> str:
    """The text of a literal; nothing for any other node."""
    value = getattr(node, "data", None) or getattr(node, "value", None)
    return value if isinstance(value, str) else ""


def _rewrite(node: "nodes.Node", text: str) -> None:
    setattr(node, "data" if hasattr(node, "data") else "value", text)
