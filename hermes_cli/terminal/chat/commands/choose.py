"""A numbered list from which the user chooses; it works on every terminal."""

from collections.abc import Collection, Sequence

from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.sanitize import one_line

_OTHER_ROWS = 4  # the count of other rows, the question in two rows, the status line


def choose(
    chat: Chat,
    rows: Sequence[Sequence[str]],
    what: str,
    *,
    elastic: int,
    name: int | None = None,
    current: Collection[int] = (),
) -> int | None:
    """Print `rows` with numbers and ask for one; in a pipe, only print them.

    `current` are the places of rows to mark with *. On a narrow terminal the column `elastic` is cut and others are
    omitted, but never the column `name`.
    Typed text instead of a number leaves the rows that contain it. The place of the row, None if none is chosen.
    """
    shown = list(range(len(rows)))
    while True:
        _print(rows, shown, elastic, name, current)
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


def _print(
    rows: Sequence[Sequence[str]], shown: Sequence[int], elastic: int, name: int | None, current: Collection[int]
) -> None:
    if not shown:
        console.lines("nothing to choose from")
        return
    most = console.items_that_fit(_OTHER_ROWS)
    table = [(f"{place + 1}{' *' if place in current else ''}", *map(one_line, rows[place])) for place in shown[:most]]
    always = (0,) if name is None else (0, name + 1)
    others = [column for column in range(1, len(table[0])) if column not in (*always, elastic + 1)]
    console.table(table, order=(*always, *others), elastic=elastic + 1, wrap=False, always=len(always))
    if len(shown) > most:
        console.notice(f"{len(shown) - most} more; type a part of the name")
