"""Commands about the context: show it, count its tokens, pin turns and leave turns out."""

import sys
from collections.abc import Generator

from hermes_cli.chat.conversation import TurnState
from hermes_cli.chat.events import TurnEvent
from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import tokens_per_second
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands import arguments
from hermes_cli.terminal.chat.named_turns import named
from hermes_cli.terminal.chat.texts import excerpt
from hermes_cli.terminal.columns import cut, terminal_columns

_BAR_CELLS = 24
_COLUMNS_BESIDE_BAR = 50
_STANDINGS = {"kept": "", "pinned": "pinned", "left_out": "left out"}


def context(chat: Chat, argument: str) -> None:
    """Show the context turn by turn, with token counts."""
    if not chat.ready():
        return
    session, length = chat.session, chat.session.backend.info.context_length
    conversation = session.conversation
    rows = []
    used = session.opening_tokens()
    if used:
        rows.append(_row("system", used, length, excerpt(conversation.system_prompt or "tools or schema"), ""))
    for number, turn in enumerate(conversation.turns, 1):
        tokens = session.turn_tokens(turn)
        used += tokens if turn.state != "left_out" else 0
        rows.append(_row(str(number), tokens, length, excerpt(turn.question), _STANDINGS[turn.state]))
    console.lines("\n".join((f"context {length:,} tok: {used:,} used, {max(length - used, 0):,} free", *rows)))


def _row(name: str, tokens: int, length: int, text: str, state: str) -> str:
    """One line of /context, which fits the terminal width; a turn that is left out has no bar."""
    columns = terminal_columns(sys.stderr)
    most = min(_BAR_CELLS, max(columns - _COLUMNS_BESIDE_BAR, 0))
    bar = "" if state == "left out" else "█" * min(max(round(tokens / length * most), 1), most)
    end = f" [{state}]" if state else ""
    begin = f"{name:>6} {tokens:>6} {bar:<{most}} "
    return f"{begin}{cut(text, max(columns - len(begin) - len(end), 1))}{end}"


def compact(chat: Chat, argument: str) -> None:
    """Summarise the chat, and continue from the summary.

    /compact keep 2 keeps the last 2 turns. A chat that is longer than the context is summarised piece by piece into
    one summary. A summary that is cut off, longer than the turns or too short for them is not used. /undo restores
    the turns.
    """
    keep = arguments.count(argument.removeprefix("keep").strip(), otherwise=0)
    if not chat.session.conversation.turns:
        raise UsageError("there are no messages yet", "send a message first")
    if chat.ready(f"/compact {argument}".rstrip()):
        tokens, fault = chat.session.context_tokens(), ""

        def summarised(cancel: CancelToken) -> Generator[TurnEvent]:
            nonlocal fault
            fault = yield from chat.session.compact(cancel, keep)

        chat.answer(summarised, resumable=False)
        if fault:
            console.notice(f"summary not used: {fault}; nothing has changed")
        else:
            now = chat.session.context_tokens()
            console.notice(f"summarised: {tokens:,} tok reduced to {now:,}; /undo restores the turns")


def pin(chat: Chat, argument: str) -> None:
    """Pin turns so that they are never left out.

    /pin 3 or /pin 2-5, numbered as in /context; by default the last turn. A turn that was left out is included again.
    """
    _set_state(chat, argument, "pinned")


def hide(chat: Chat, argument: str) -> None:
    """Leave turns out of the context.

    /hide 3 or /hide 2-5, numbered as in /context; by default the last turn. /pin includes them again.
    """
    _set_state(chat, argument, "left_out")


def _set_state(chat: Chat, argument: str, state: TurnState) -> None:
    if not chat.ready():
        return
    chosen = arguments.turns(chat, argument)
    chat.session.set_state([turn.id for turn in chosen], state)
    console.notice(f"{_STANDINGS[state]}: {named(chat.session, tuple(chosen))}")


def stats(chat: Chat, argument: str) -> None:
    """Show the statistics of the last answer."""
    finished = chat.session.last_finished
    if finished is None:
        raise UsageError("there are no statistics yet", "they are not saved with a session; send a message first")
    usage, timings = finished.usage, finished.timings
    facts = {
        "prompt": f"{usage.prompt_tokens:,} tok, {usage.cached_tokens:,} of them cached",
        "processing": f"{timings.prefill_s:.2f} s",
        "first token": f"after {timings.first_token_s:.2f} s",
        "answer": f"{usage.completion_tokens:,} tok, {tokens_per_second(finished):.1f} tok/s",
        "finish reason": finished.reason,
        "seed": str(finished.seed),
    }
    console.lines("\n".join(f"{name:<13} {value}" for name, value in facts.items()))


def prompt(chat: Chat, argument: str) -> None:
    """Show the exact prompt, control tokens included."""
    if chat.ready():
        console.lines(chat.session.prompt_text())
