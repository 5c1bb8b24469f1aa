"""What of a model's answers is shown: all of the text, or with tools only the text outside of their calls."""

from collections.abc import Iterator, Sequence

from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.message import Message

GAP = "\n\n"  # between the answers of one turn


class Outside:
    """The text outside of calls, separated by a blank line, without the white space around calls."""

    def __init__(self, *, later: bool, after_text: bool) -> None:
        self._fresh = later
        self._gap = GAP if after_text else ""
        self._space = ""
        self.spoke = False

    def deltas(self, found: Sequence[object]) -> Iterator[TextDelta]:
        """The text pieces of a parser's output; white space is held back until more text follows."""
        for piece in found:
            if not isinstance(piece, str):
                self._space, self._fresh = "", True
                self._gap = GAP if self.spoke else self._gap
                continue
            text = self._space + (piece.lstrip() if self._fresh else piece)
            said = text.rstrip()
            self._space = text[len(said) :]
            if said:
                yield TextDelta(self._gap + said)
                self._gap, self._fresh, self.spoke = "", False, True

    def rest(self) -> Iterator[TextDelta]:
        """The white space at the end of the answer."""
        if self._space and self.spoke:
            yield TextDelta(self._space)


def shown_part(text: str, may_call: bool) -> str:
    """What of an answer's text is shown: if it can contain tool calls, only the text outside of them."""
    if not may_call or not text:
        return text
    from hermes_cli.formats.tool_call_parser import ToolCallParser

    return "".join(found for found in ToolCallParser().feed(text) if isinstance(found, str))


def shown_answers(messages: Sequence[Message], may_call: bool) -> str:
    """The text of the answers among the messages of a turn, as it was shown when they were generated."""
    answers = [message for message in messages if message.role == "assistant"]
    if not may_call:
        return GAP.join(filter(None, (answer.content for answer in answers)))
    from hermes_cli.formats.tool_call_parser import ToolCallParser

    shown = ""
    for number, answer in enumerate(answers):
        parser, outside = ToolCallParser(), Outside(later=number > 0, after_text=bool(shown))
        is_whole = answer.finish_reason not in ("length", "cancelled")
        found = (*parser.feed(answer.content), *parser.finish(ended=is_whole))
        shown += "".join(delta.text for delta in (*outside.deltas(found), *outside.rest()))
    return shown
