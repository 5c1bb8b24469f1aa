"""Commands about the window: what the model reads, what it costs, what stays and what goes."""

from hermes_cli.chat.conversation import Standing
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import tokens_per_second
from hermes_cli.terminal.chat.chat import Chat, excerpt
from hermes_cli.terminal.chat.commands import arguments

_BAR_CELLS = 24
_STANDINGS = {"kept": "", "pinned": "pinned", "left_out": "left out"}


def context(chat: Chat, argument: str) -> None:
    """Draw the window turn by turn, with token counts."""
    if not chat.ready():
        return
    session, window = chat.session, chat.session.backend.info.context_length
    conversation = session.conversation
    rows = []
    used = session.opening_tokens()
    if used:
        rows.append(_row("system", used, window, excerpt(conversation.system_prompt or "tools or schema"), ""))
    for number, turn in enumerate(conversation.turns, 1):
        tokens = session.turn_tokens(turn)
        used += tokens if turn.standing != "left_out" else 0
        rows.append(_row(str(number), tokens, window, excerpt(turn.question), _STANDINGS[turn.standing]))
    console.lines("\n".join((f"window {window:,} tok: {used:,} used, {max(window - used, 0):,} free", *rows)))


def _row(name: str, tokens: int, window: int, text: str, standing: str) -> str:
    """One line of the drawing; what is left out of the window has no bar."""
    cells = 0 if standing == "left out" else max(round(tokens / window * _BAR_CELLS), 1)
    bar = "█" * min(cells, _BAR_CELLS)
    return f"{name:>6} {tokens:>6} {bar:<{_BAR_CELLS}} {text}{f' [{standing}]' if standing else ''}"


def compact(chat: Chat, argument: str) -> None:
    """Have the model sum up the chat, and go on from that.

    /compact keep 2 leaves the last 2 turns as they are. What is too long for the window is summed up piece by piece;
    the last summary holds all. /undo brings back what it took the place of.
    """
    keep = arguments.count(argument.removeprefix("keep").strip(), otherwise=0)
    if not chat.session.conversation.turns:
        raise UsageError("nothing was said yet", "send a message first")
    if chat.ready(f"/compact {argument}".rstrip()):
        before = chat.session.conversation
        chat.answer(lambda cancel: chat.session.compact(cancel, keep), resumable=False)
        if chat.session.conversation is before:
            console.notice("not summed up; nothing has changed")


def pin(chat: Chat, argument: str) -> None:
    """Keep turns in the window, whatever comes.

    /pin 3 or /pin 2-5, as /context counts them; alone the last one. A turn that was left out comes back.
    """
    _set_standing(chat, argument, "pinned")


def forget(chat: Chat, argument: str) -> None:
    """Leave turns out of what the model reads.

    /forget 3 or /forget 2-5, as /context counts them; alone the last one. /pin brings them back.
    """
    _set_standing(chat, argument, "left_out")


def _set_standing(chat: Chat, argument: str, standing: Standing) -> None:
    if not chat.ready():
        return
    chosen = arguments.turns(chat, argument)
    chat.session.set_standing([turn.id for turn in chosen], standing)
    console.notice(f"{_STANDINGS[standing]}: {chat.named(tuple(chosen))}")


def stats(chat: Chat, argument: str) -> None:
    """Tell all figures of the last answer."""
    finished = chat.session.last_finished
    if finished is None:
        raise UsageError("there was no answer yet", "send a message first")
    usage, timings = finished.usage, finished.timings
    facts = {
        "prompt": f"{usage.prompt_tokens:,} tok, {usage.cached_tokens:,} of them were read before",
        "reading": f"{timings.prefill_s:.2f} s",
        "first token": f"after {timings.first_token_s:.2f} s",
        "answer": f"{usage.completion_tokens:,} tok, {tokens_per_second(finished):.1f} tok/s",
        "ended by": finished.reason,
        "seed": str(finished.seed),
    }
    console.lines("\n".join(f"{name:<12} {value}" for name, value in facts.items()))


def prompt(chat: Chat, argument: str) -> None:
    """Show the exact text the model reads, markers included."""
    if chat.ready():
        console.lines(chat.session.prompt_text())
