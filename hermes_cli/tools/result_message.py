"""The results of a round of calls as the model reads them, cut to what its window holds."""

from collections.abc import Callable, Sequence

from hermes_cli.chat.context_window import most_that_fit, reserved_tokens, tight_room
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.tool_call import ToolResult
from hermes_cli.formats.function_calling import response_block
from hermes_cli.tools.output import LIMIT_CHARACTERS, limited


def response_message(results: Sequence[ToolResult], limit: int | None = None) -> Message:
    """All results in one message, each cut to `limit` characters; its `tool_results` stay whole."""
    blocks = (response_block(result.call.name, _content(result, limit)) for result in results)
    return Message("tool", "\n".join(blocks), tool_results=tuple(results))


def fitting_limit(
    results: Sequence[ToolResult],
    asked: GenerationRequest,
    window: int,
    count: Callable[[tuple[Message, ...]], int],
) -> int | None:
    """The length to cut the results to that come after `asked`, so that the window holds an answer too; None for whole.

    Where nothing of them would be left, only a short answer has room. `count` tells how many tokens messages take up,
    `window` how many there can be.
    """

    def fits(room: int, limit: int | None = None) -> bool:
        return count((*asked.messages, response_message(results, limit))) <= room

    def most(room: int) -> int:
        return most_that_fit(LIMIT_CHARACTERS, lambda limit: fits(room, limit))

    room = window - reserved_tokens(window, asked.max_tokens)
    return None if fits(room) else most(room) or most(tight_room(window))


def _content(result: ToolResult, limit: int | None) -> object:
    told = result.value if result.error is None else result.error
    if limit is not None:
        told = limited(told, limit)
    return {"error": told} if result.approved and result.error is not None else told
