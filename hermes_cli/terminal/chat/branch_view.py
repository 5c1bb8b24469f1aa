"""The branches of a session as lines of text."""

from collections.abc import Collection

from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.terminal.columns import cut

_ARROW = " → "
_DEEPEST = 12


def tree_lines(tree: TurnTree, current: Collection[int], columns: int) -> list[str]:
    """One line for each turn: `*` on the current branch, its number, its place in the tree, message and answer."""
    width = max((len(str(id)) for id in tree.turns), default=1)
    return [
        cut(f"{'*' if id in current else ' '} {id:>{width}} {_lines(tree, id, way)}{_text(tree.turns[id])}", columns)
        for id, way in tree.walk()
    ]


def _lines(tree: TurnTree, id: int, way: tuple[bool, ...]) -> str:
    """The lines from the forks above; very deep ones are left out at the left."""
    begins = len(tree.versions(id)) > 1
    before = way[:-1] if begins else way
    drawn = ["   " if last else "│  " for last in before] + ([("└─ " if way[-1] else "├─ ")] if begins else [])
    return "".join(drawn if len(drawn) <= _DEEPEST else ["…  ", *drawn[-_DEEPEST:]])


def _text(turn: Turn) -> str:
    question, answer = (" ".join(text.split()) for text in (turn.question, turn.answer.content))
    return f"{cut(question, 40)}{_ARROW}{answer}"
