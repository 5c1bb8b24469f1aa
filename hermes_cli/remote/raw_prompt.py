"""Our own ChatML as token ids of the server's vocabulary: the only control tokens are the markers we place."""

import re
from collections import OrderedDict
from collections.abc import Iterable

from hermes_cli.chat.message import Message
from hermes_cli.formats import chatml
from hermes_cli.formats.segment import Segment, merged
from hermes_cli.remote import families
from hermes_cli.remote.client import Client
from hermes_cli.remote.probe import Server, token_ids

_REMEMBERED_TEXTS = 4096
# Control tokens of known vocabularies. Hermes's own tags are left whole: they are the trained form, and open no turn.
CONTROL_TEXT = re.compile(
    r"<\|[^<>|\s]{1,60}\|?>|<[a-z_]{1,60}\|>|<\uff5c[^<>\uff5c\s]{1,60}\uff5c>|</?s>"
    r"|<(?:unk|pad|bos|eos|mask|(?:start|end)_of_(?:turn|image))>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT))\]"
)


class RawPrompt:
    """Writes conversations for one server whose model has the ChatML markers as tokens."""

    def __init__(self, client: Client, server: Server, model: str) -> None:
        self._client, self._server, self._model = client, server, model
        self._known: OrderedDict[str, list[int]] = OrderedDict()

    def segments(self, messages: Iterable[Message]) -> tuple[Segment, ...]:
        """The prompt that asks for the next message, or for the rest of an answer that comes last."""
        *before, last = (*messages, None)
        if before and before[-1].role == "assistant":
            *before, last = before
        return merged((*chatml.write(before), Segment(last.content))) if last else chatml.write(before)

    def ids(self, segments: Iterable[Segment]) -> list[int]:
        """The token ids, BOS included where the model has one. Raises EndpointError."""
        ids = list(self._server.bos)
        for segment in segments:
            if segment.special:
                ids.append(self._server.markers[segment.text])
            else:
                ids += self._text_ids(segment.text)
        return ids

    def _text_ids(self, text: str) -> list[int]:
        """The ids of content, none of them a control token."""
        if text not in self._known:
            self._known[text] = [id for piece in self._pieces(text) for id in self._tokenized(piece)]
            while len(self._known) > _REMEMBERED_TEXTS:
                self._known.popitem(last=False)
        self._known.move_to_end(text)
        return self._known[text]

    def _pieces(self, text: str) -> list[str]:
        """The text, cut inside each control text where the server would read one whole as a control token."""
        if self._server.family is not families.VLLM:
            return [text]
        cuts = [found.start() + 2 for found in CONTROL_TEXT.finditer(text)]
        return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def _tokenized(self, text: str) -> list[int]:
        return token_ids(self._client, self._server.family, self._model, text, special=False) if text else []
