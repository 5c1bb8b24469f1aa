"""A numbered list from which the user chooses; it works on every terminal."""

from collections.abc import Sequence

from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.sanitize import one_line

_MOST_ROWS = 30


def choose(chat: Chat, rows: Sequence[Sequence[str]], what: str, *, elastic: int) -> int | None:
    """Print `rows` with numbers and ask for one; in a pipe, only print them.

    Typed text instead of a number leaves the rows that contain it. The place of the row, None if none is chosen.
    """
    shown = list(range(len(rows)))
    while True:
        _print(rows, shown, elastic)
        if not (chat.interactive and shown):
            return None
        typed = (chat.ask(f"{what} (number, or text to filter; Enter: no change)") or "").strip()
        if not typed:
            return None
        if typed.isdecimal() and 0 < int(typed[:9]) <= len(rows):
            return int(typed) - 1
        matching = [place for place, row in enumerate(rows) if typed.casefold() in " ".join(row).casefold()]
        if len(matching) == 1:
            return matching[0]
        if not matching:
            console.notice(f"nothing contains {typed}")
        shown = matching or shown


def _print(rows: Sequence[Sequence[str]], shown: Sequence[int], elastic: int) -> None:
    if not shown:
        console.lines("nothing to choose from")
        return
    table = [(str(place + 1), *map(one_line, rows[place])) for place in shown[:_MOST_ROWS]]
    others = [column for column in range(1, len(table[0])) if column != elastic + 1]
    console.table(table, order=(0, *others), elastic=elastic + 1, wrap=False)
    if len(shown) > _MOST_ROWS:
        console.notice(f"{len(shown) - _MOST_ROWS} more; type a part of the name")
