"""All turns of a session, with every branch: undone and replaced turns stay in it."""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from hermes_cli.chat.conversation import Turn
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class TurnTree:
    """Turns by id, in the order they were added, each with its parent (None: the first turn of a conversation).

    `latest` maps a turn (or None) to the child that was current last, which a redo makes current again.
    """

    turns: Mapping[int, Turn] = field(default_factory=dict)
    parents: Mapping[int, int | None] = field(default_factory=dict)
    latest: Mapping[int | None, int] = field(default_factory=dict)

    def plus(self, turn: Turn, parent: int | None) -> "TurnTree":
        """This tree with a turn after the turn `parent`, made current."""
        turns, parents = {**self.turns, turn.id: turn}, {**self.parents, turn.id: parent}
        return replace(self, turns=turns, parents=parents).chosen(turn.id)

    def with_turns(self, changed: Mapping[int, Turn]) -> "TurnTree":
        """This tree with turns replaced by new values."""
        known = {id: turn for id, turn in changed.items() if id in self.turns}
        return replace(self, turns={**self.turns, **known})

    def chosen(self, id: int | None) -> "TurnTree":
        """This tree with the branch that ends at a turn made current."""
        latest = dict(self.latest)
        for each in self.path_ids(id):
            latest[self.parents[each]] = each
        return replace(self, latest=latest)

    def path(self, id: int | None) -> tuple[Turn, ...]:
        """The conversation that ends with a turn; empty for None."""
        return tuple(self.turns[each] for each in self.path_ids(id))

    def path_ids(self, id: int | None) -> tuple[int, ...]:
        """The ids of that conversation."""
        ids: list[int] = []
        while id is not None:
            ids.append(id)
            id = self.parents[id]
        return tuple(reversed(ids))

    def children(self, id: int | None) -> tuple[int, ...]:
        """The turns that follow a turn, or None, in the order they were added."""
        return tuple(each for each, parent in self.parents.items() if parent == id)

    def versions(self, id: int) -> tuple[int, ...]:
        """The turns with the same parent as this one, itself included: other answers, and edited messages."""
        return self.children(self.parents[id])

    def walk(self) -> Iterator[tuple[int, tuple[bool, ...]]]:
        """Each turn before its children, and for each fork on the path to it, whether the path takes the last branch.

        A turn without siblings has the same path as its parent.
        """
        by_parent: dict[int | None, list[int]] = {}
        for id, parent in self.parents.items():
            by_parent.setdefault(parent, []).append(id)
        waiting: list[tuple[int, tuple[bool, ...]]] = []

        def add(parent: int | None, way: tuple[bool, ...]) -> None:
            found = by_parent.get(parent, [])
            for id in reversed(found):
                waiting.append((id, way if len(found) == 1 else (*way, id == found[-1])))

        add(None, ())
        while waiting:
            id, way = waiting.pop()
            yield id, way
            add(id, way)
