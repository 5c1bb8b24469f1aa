"""Find tool calls in an answer while it streams.

A call begins with `<tool_call>` and an object, a list or a code fence; a tag that is only mentioned is text. A tag
inside a string of the call belongs to that string. Text is never lost: what is not part of a call is passed on, and
what cannot be read as one becomes a `BrokenCall`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.formats.loose_json import Values, read_values
from hermes_cli.formats.tags import CALL_END, CALL_START, tag_prefix_length

CallEvent = str | ToolCall | BrokenCall

_TAG = re.compile(f"{CALL_START}|{CALL_END}")
_FENCE = r"(?:```+[ \t]*+\w*+)"
# What follows the tag of a call: a fence or none, then an object with a key, perhaps in a list.
_OPENS = re.compile(rf"\s*+{_FENCE}?+[\s\[]*+\{{\s*+(?:[\"'“”‘]|[A-Za-z_]\w*+\s*+:)")
_MAY_OPEN = re.compile(rf"\s*+(?:`{{0,2}}|{_FENCE}?+[\s\[]*+(?:\{{\s*+\w*+\s*+)?)")
_OPENING_FENCE = re.compile(rf"\s*+{_FENCE}")
_CLOSING_FENCE = re.compile(r"\s*+```+\s*+\Z")
_ARGUMENTS = ("arguments", "parameters", "args", "params", "input", "tool_input", "action_input")
_NAMES = ("name", "function", "tool", "tool_name", "action")
_WRAPPERS = ("function", "function_call", "tool_call")
_BESIDE_ARGUMENTS = {"id", "type", "index", *_NAMES, *_ARGUMENTS}
_FORM = f'write one JSON object as {{"name": <function-name>, "arguments": <args-dict>}} inside {CALL_START} tags'


class ToolCallParser:
    """Parses the text of one answer in pieces; the result does not depend on how it was cut."""

    def __init__(self) -> None:
        self._rest = ""
        self._inside = False  # `_rest` follows an opening tag
        self._certain = False  # and begins as a call does
        self._closes = False  # that tag has ended a call, so it may be a closing one written wrongly
        self._scanned = 0  # no tag that ends the call begins before this place

    def feed(self, text: str) -> list[CallEvent]:
        """Text outside calls that can no longer change, and every complete call."""
        self._rest += text
        events: list[CallEvent] = []
        while self._read_block(events) if self._inside else self._read_text(events):
            pass
        return events

    def finish(self, *, ended: bool = True) -> list[CallEvent]:
        """What was held back. A call without its closing tag counts only if the model `ended` its answer there."""
        events: list[CallEvent] = []
        while ended and self._inside and self._certain and (block := _Block(self._rest)).tag_in_last_string:
            self._cut(block, events, "")
            events += self.feed("")
        rest, self._rest, inside, self._inside = self._rest, "", self._inside, False
        if inside and self._certain:
            events += _Block(rest).events(ended=ended)
        elif inside and not (self._closes and not rest.strip()):
            events.append(CALL_START + rest)
        elif not inside and rest:
            events.append(rest)
        return events

    def _read_text(self, events: list[CallEvent]) -> bool:
        """Pass text on up to an opening tag; whether one came."""
        before, tag, after = self._rest.partition(CALL_START)
        if not tag:
            kept = len(before) - tag_prefix_length(before, CALL_START)
            before, after = before[:kept], before[kept:]
        if before:
            events.append(before)
        self._rest = after
        self._open(CALL_START if tag else "", after_call=False)
        return bool(tag)

    def _open(self, tag: str, *, after_call: bool) -> None:
        self._inside, self._certain, self._scanned = tag == CALL_START, False, 0
        self._closes = self._inside and after_call

    def _read_block(self, events: list[CallEvent]) -> bool:
        """Read what follows an opening tag up to the tag that ends it; whether it came, or the tag was a mention."""
        if not self._certain:
            self._certain = _OPENS.match(self._rest) is not None
        if not self._certain:
            if _MAY_OPEN.fullmatch(self._rest):
                return False
            events.append(CALL_START)
            self._inside = False
            return True
        while found := _TAG.search(self._rest, self._scanned):
            block = _Block(self._rest[: found.start()])
            if not block.inside_string:
                self._cut(block, events, found[0])
                return True
            self._scanned = found.end()
        self._scanned = max(self._scanned, len(self._rest) - tag_prefix_length(self._rest, CALL_START, CALL_END))
        return False

    def _cut(self, block: "_Block", events: list[CallEvent], tag: str) -> None:
        """End the block: at the first tag behind a string that was never closed, else at its end, where `tag` is."""
        text = block.text
        if earlier := block.tag_in_last_string:
            text, tag = text[: earlier.start()], earlier[0]
        self._rest = self._rest[len(text) + len(tag) :]
        events += _Block(text).events(ended=True)
        self._open(tag, after_call=True)


class _Block:
    """The text between two tags."""

    def __init__(self, text: str) -> None:
        self.text = text
        fence = _OPENING_FENCE.match(text)
        self._start = fence.end() if fence else 0
        self._values: Values = read_values(text[self._start :])

    @property
    def inside_string(self) -> bool:
        """Whether the text ends in a string, as if the tag behind it belonged to that."""
        fault = self._values.fault
        return fault is not None and fault.inside_string

    @property
    def tag_in_last_string(self) -> "re.Match[str] | None":
        """The tag behind the beginning of the string that made the text unreadable: a quote too many or too few."""
        fault = self._values.fault
        return _TAG.search(self.text, self._start + fault.last_string) if fault else None

    def events(self, *, ended: bool) -> Iterator[CallEvent]:
        """The calls in the text, and the other text."""
        found = self._values
        if not ended:
            yield BrokenCall(self.text, f"the call was cut off before its end; {_FORM}")
            return
        for value in found.values:
            yield from _calls(value, self.text)
        if found.fault:
            yield BrokenCall(self.text, f"the call cannot be read: {found.fault}; {_FORM}")
        elif rest := _CLOSING_FENCE.sub("", found.rest):
            yield rest


def _calls(value: Any, block: str) -> Iterator[ToolCall | BrokenCall]:
    """The calls that a value stands for: an object for one, also in OpenAI's forms, a list for several."""
    if isinstance(value, list):
        for one in value:
            yield from _calls(one, block)
    elif not isinstance(value, dict):
        yield BrokenCall(block, f"the call is not an object; {_FORM}")
    elif isinstance(value.get("tool_calls"), list):
        yield from _calls(value["tool_calls"], block)
    elif inner := next((value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)), None):
        yield _call({**{key: value[key] for key in _ARGUMENTS if key in value}, **inner}, block)
    else:
        yield _call(value, block)


def _call(value: Mapping[str, Any], block: str) -> ToolCall | BrokenCall:
    """The call of one object."""
    name = next((value[key] for key in _NAMES if key in value), None)
    if not isinstance(name, str) or not name.strip():
        return BrokenCall(block, f"the call has no name; {_FORM}")
    given = {key: value[key] for key in _ARGUMENTS if value.get(key) not in (None, "", {})}
    beside = [key for key in value if key not in _BESIDE_ARGUMENTS]
    if len(given) > 1 or (not given and beside):
        wrong = f"it has {' and '.join(given)}" if given else f"{beside[0]:.40} is not in its arguments"
        return BrokenCall(block, f"the arguments of {name:.100} are not clear: {wrong}; {_FORM}")
    arguments: Any = next(iter(given.values()), {})
    try:
        arguments = _object(arguments) if isinstance(arguments, str) else arguments
    except ValueError as error:
        return BrokenCall(block, f"the arguments of {name:.100} cannot be read: {error}; {_FORM}")
    if not isinstance(arguments, dict):
        return BrokenCall(block, f"the arguments of {name:.100} are not an object; {_FORM}")
    return ToolCall(name.strip().replace("\\_", "_"), arguments)  # escaped as in Markdown


def _object(text: str) -> Any:
    """The one value that a text of arguments holds. Raises ValueError where it holds none or several."""
    if not text.strip():
        return {}
    found = read_values(text.strip())
    if found.fault:
        raise found.fault
    if len(found.values) > 1:
        raise ValueError(f"they are {len(found.values)} objects")
    if not found.values or found.rest.strip():
        raise ValueError("they are not a JSON object")
    return found.values[0]
