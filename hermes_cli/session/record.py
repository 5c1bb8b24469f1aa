"""The record of a session: the current conversation, all branches, and the file they are saved to."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hermes_cli.chat.conversation import Conversation, Turn, TurnState
from hermes_cli.chat.events import Finished
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.errors import HermesError, UsageError
from hermes_cli.store.sessions.writer import Transcript


class SessionRecord:
    """The conversation, which is one branch of `tree`, and its file if there is a `transcript`.

    Turns are only ever added: undo, redo and the choice of another version move the end of the conversation.
    """

    def __init__(
        self,
        conversation: Conversation | None = None,
        *,
        settings: SessionSettings | None = None,
        transcript: Transcript | None = None,
        last_turn_id: int = 0,
        tree: TurnTree | None = None,
    ) -> None:
        self.settings = settings or SessionSettings()
        self.saving_problem: HermesError | None = None
        self.last_finished: Finished | None = None
        self._before_summary: dict[int, dict[int, TurnState]] = {}  # by a summary's id, of the turns it replaced
        self._begin(conversation or Conversation(), transcript, last_turn_id, tree)

    def _begin(
        self, conversation: Conversation, transcript: Transcript | None, last_turn_id: int, tree: TurnTree | None
    ) -> None:
        self.conversation, self.transcript, self._last_id = conversation, transcript, last_turn_id
        self.tree = tree if tree is not None and tree.turns else _chain(conversation)

    def restart(
        self,
        conversation: Conversation,
        transcript: Transcript | None,
        last_turn_id: int = 0,
        settings: SessionSettings | None = None,
        tree: TurnTree | None = None,
    ) -> None:
        """Switch to another conversation and its file. Raises OutputError if this one cannot be saved."""
        if self.transcript:
            self.transcript.save()
            self.transcript.close()
        self.saving_problem = None
        self.settings = settings or self.settings
        self.last_finished = None
        self._before_summary.clear()
        self._begin(conversation, transcript, last_turn_id, tree)

    def undo(self, count: int = 1) -> tuple[Turn, ...]:
        """Remove the last turns from the conversation and return them. Raises UsageError.

        Undoing a summary restores the turns it replaced, if it was made since the session was opened.
        """
        self._last_turn()
        gone = self.conversation.turns[-count:]
        self._go_to(last_id(self.conversation.without_last(count)))
        return gone

    def redo(self, count: int = 1) -> tuple[Turn, ...]:
        """Add the turns again that followed the last one when they were last current. Raises UsageError."""
        end = last_id(self.conversation)
        back: list[int] = []
        while len(back) < count and end in self.tree.latest:
            end = self.tree.latest[end]
            back.append(end)
        if not back:
            raise UsageError("there is nothing to redo", "/redo restores what /undo removed; /tree shows all branches")
        self._go_to(end)
        return tuple(self.tree.turns[id] for id in back)

    def end_at(self, turn_id: int) -> None:
        """End the conversation with a turn of any branch. Raises UsageError."""
        if turn_id not in self.tree.turns:
            raise UsageError(f"there is no turn #{turn_id}", "/tree shows all turns with their numbers")
        self._go_to(turn_id)

    def versions(self, turn: Turn) -> tuple[Turn, ...]:
        """All versions of this turn, itself included, in the order they were added."""
        return tuple(self.tree.turns[id] for id in self.tree.versions(turn.id))

    def switch_version(self, step: int, turn: Turn | None = None) -> Turn:
        """End with the next (1) or previous (-1) version of a turn, by default of the last. Raises UsageError."""
        now = turn or self._last_turn()
        found = self.versions(now)
        place = [version.id for version in found].index(now.id) + step
        if len(found) == 1:
            raise UsageError("there is no other answer to this message", "/retry makes one; /tree shows all branches")
        if not 0 <= place < len(found):
            which, other = ("first", "/next") if step < 0 else ("last", "/prev")
            raise UsageError(f"this is the {which} of {len(found)} versions", f"{other} shows another")
        self._go_to(found[place].id)
        return found[place]

    def edit_answer(self, turn: Turn, text: str) -> Turn:
        """Add a version of a turn with another text of its answer, and end the conversation with it."""
        index = len(turn.messages) - 1 - turn.messages[::-1].index(turn.answer)
        edited = replace(turn.answer, content=text, finish_reason=None)
        base = self.conversation.first(self.conversation.turns.index(turn))
        self._commit(base, replace(turn, messages=(*turn.messages[:index], edited)), None)
        return self.conversation.turns[-1]

    def set_state(self, ids: Iterable[int], state: TurnState) -> None:
        """Pin turns, leave them out of the context, or include them again."""
        chosen = frozenset(ids)
        self.conversation = self.conversation.with_state(chosen, state)
        known = {id: turn for id, turn in self.tree.turns.items() if id in chosen}
        self.tree = self.tree.with_turns({id: replace(turn, state=state) for id, turn in known.items()})
        self._save(lambda transcript: transcript.set_state(sorted(chosen), state))

    def change_system_prompt(self, text: str | None) -> None:
        """Use this system prompt from the next turn on."""
        self.conversation = replace(self.conversation, system_prompt=text)
        self._save_settings()

    def change_settings(self, settings: SessionSettings) -> None:
        """Use this model, preset and sampling from the next turn on."""
        self.settings = settings
        self._save_settings()

    def save(self) -> None:
        """Write again the turns that could not be saved; if that fails, `saving_problem` holds the error."""
        self._save(Transcript.save)

    def _last_turn(self) -> Turn:
        if not self.conversation.turns:
            raise UsageError("there are no messages yet", "send a message first")
        return self.conversation.turns[-1]

    def _go_to(self, end: int | None) -> None:
        """Switch to the branch that ends with this turn, and leave out the turns that its summaries replace."""
        before = self.tree.path_ids(last_id(self.conversation))
        after = self.tree.path_ids(end)
        self.tree = self.tree.chosen(end)
        self.conversation = replace(self.conversation, turns=self.tree.path(end))
        self._save(lambda transcript: transcript.move_head(end))
        for id in reversed([id for id in before if id not in after]):
            stood = self._before_summary.get(id, {})
            for state in set(stood.values()):
                self.set_state([each for each, one in stood.items() if one == state], state)
        for id in (id for id in after if id not in before and id in self._before_summary):
            self.set_state(self._before_summary[id], "left_out")

    def _commit(self, base: Conversation, turn: Turn, finished: Finished | None, model: str | None = None) -> None:
        """Add a turn after `base`, and end the conversation with it."""
        self._last_id += 1
        turn, parent = replace(turn, id=self._last_id), last_id(base)
        self.conversation, self.tree = base.plus(turn), self.tree.plus(turn, parent)
        self._save(lambda transcript: transcript.append_turn(turn, parent, model=model, finished=finished))

    def _save_settings(self) -> None:
        self._save(lambda transcript: transcript.change_settings(self.settings, self.conversation.system_prompt))

    def _save(self, write: Callable[[Transcript], None]) -> None:
        """Write to the file. If that fails, `saving_problem` holds the error, and the next write tries again."""
        if self.transcript is None:
            return
        try:
            write(self.transcript)
            self.saving_problem = None
        except HermesError as problem:
            self.saving_problem = problem


def last_id(conversation: Conversation) -> int | None:
    """The id of the last turn, None if there is none."""
    return conversation.turns[-1].id if conversation.turns else None


def _chain(conversation: Conversation) -> TurnTree:
    """A tree of one branch."""
    tree, parent = TurnTree(), None
    for turn in conversation.turns:
        tree, parent = tree.plus(turn, parent), turn.id
    return tree
