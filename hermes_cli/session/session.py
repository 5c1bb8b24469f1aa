"""One chat in progress: `Session.send` is the turn loop."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from hermes_cli.backend import Backend
from hermes_cli.chat.context_window import reserved_tokens, tight_room, turns_to_leave_out
from hermes_cli.chat.conversation import Conversation, Standing, Turn
from hermes_cli.chat.events import Finished, TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.errors import HermesError, UsageError
from hermes_cli.formats.function_calling import offer
from hermes_cli.formats.json.mode import schema_prompt
from hermes_cli.formats.json.schema import Schema
from hermes_cli.session.summary import SUMMARY_REQUEST, sum_up
from hermes_cli.session.turn_loop import ToolUse, TurnLoop
from hermes_cli.store.sessions.writer import Transcript


class Session:
    """A backend, what was said to it, and the file that keeps it, if one does.

    A turn enters the conversation as a whole when its answer ends, also when it was stopped half-way, and is saved at
    once; a turn that brought no text is withdrawn. What replaces a turn leaves the old one in the file. A question is
    saved before it is answered, so that it survives a crash.
    """

    def __init__(
        self,
        backend: Backend,
        conversation: Conversation | None = None,
        *,
        settings: SessionSettings | None = None,
        stop: tuple[str, ...] = (),
        transcript: Transcript | None = None,
        last_turn_id: int = 0,
        tools: ToolUse | None = None,
        schema: Schema | None = None,
        most_repairs: int = 0,
        constrained: bool = True,
    ) -> None:
        self.tools = tools
        self.schema = schema
        self.most_repairs = most_repairs
        self.constrained = constrained
        self.backend = backend
        self.conversation = conversation or Conversation()
        self.settings = settings or SessionSettings()
        self.stop = stop
        self.transcript = transcript
        self.saving_problem: HermesError | None = None
        self.last_finished: Finished | None = None
        self._last_id = last_turn_id
        self._summed_up: dict[int, dict[int, Standing]] = {}  # by a summary's id: how the turns stood before it

    def send(self, text: str, cancel: CancelToken) -> Generator[TurnEvent]:
        """Ask, and pass the events of the answer on."""
        question, base = Message("user", text), self.conversation
        number = self._last_id + 1
        self._save(lambda transcript: transcript.append_question(number, question, _last_id(base)))
        try:
            yield from self._answer(base, Turn(0, (question,)), cancel)
        finally:
            # A question without an answer stays saved if the program is being ended: it is asked again on resume.
            if self._last_id < number and cancel.reason not in ("terminate", "hangup"):
                self._save(lambda transcript: transcript.withdraw_question(number))

    def regenerate(self, cancel: CancelToken, sampling: Sampling | None = None) -> Generator[TurnEvent]:
        """Answer the last question anew; without any text the old answer stays. Raises UsageError."""
        last = self._repeatable_turn()
        return self._answer(self.conversation.without_last(), last, cancel, sampling=sampling)

    def continue_answer(self, cancel: CancelToken) -> Generator[TurnEvent]:
        """Go on with the last answer where it was stopped or cut; the events tell what is new. Raises UsageError."""
        last = self._unfinished_turn()
        return self._answer(self.conversation.without_last(), last, cancel, go_on=True)

    def compact(self, cancel: CancelToken, keep: int = 0) -> Generator[TurnEvent]:
        """Have the model sum up, pin the summary and leave out all earlier turns but the last `keep`.

        A summary that is not complete changes nothing. The user's own pins stay, summaries made before do not. Raises
        UsageError where there is nothing to sum up, ContextOverflow where a turn is too long for it.
        """
        self._last_turn()
        before = self.conversation
        older = before.turns[: max(len(before.turns) - keep, 0)]
        summaries = [turn for turn in older if turn.standing == "pinned" and turn.question == SUMMARY_REQUEST]
        going = [turn for turn in older if turn.standing == "kept" or turn in summaries]
        if not going:
            raise UsageError("there is nothing to sum up", "pinned turns, and those to keep, stay as they are")
        as_said = self._read(replace(before, turns=older))
        summary, self.last_finished = yield from sum_up(self.backend, as_said, going, self.settings.sampling, cancel)
        if summary:
            self._commit(before, summary, self.last_finished)
            self._summed_up[self._last_id] = {turn.id: turn.standing for turn in going}
            self.set_standing([turn.id for turn in going], "left_out")
            self.set_standing([self._last_id], "pinned")

    def undo(self, count: int = 1) -> tuple[Turn, ...]:
        """Take the last turns back and return them; they stay in the file. Raises UsageError.

        With a summary the turns come back that it took the place of, if it was made since the session was opened.
        """
        self._last_turn()
        gone = self.conversation.turns[-count:]
        self.conversation = self.conversation.without_last(count)
        self._save(lambda transcript: transcript.move_head(_last_id(self.conversation)))
        for turn in reversed(gone):
            stood = self._summed_up.pop(turn.id, {})
            for standing in set(stood.values()):
                self.set_standing([id for id, before in stood.items() if before == standing], standing)
        return gone

    def set_standing(self, ids: list[int], standing: Standing) -> None:
        """Pin turns, leave them out of the window or keep them again."""
        self.conversation = self.conversation.with_standing(frozenset(ids), standing)
        self._save(lambda transcript: transcript.set_standing(ids, standing))

    def change_system_prompt(self, text: str | None) -> None:
        """From the next turn on the model reads this one."""
        self.conversation = replace(self.conversation, system_prompt=text)
        self._save_settings()

    def change_settings(self, settings: SessionSettings) -> None:
        """Model, preset and sampling from the next turn on."""
        self.settings = settings
        self._save_settings()

    def restart(
        self,
        conversation: Conversation,
        transcript: Transcript | None,
        last_turn_id: int = 0,
        settings: SessionSettings | None = None,
    ) -> None:
        """Go on with another conversation, kept in another file. Raises OutputError where this one cannot be saved."""
        if self.transcript:
            self.transcript.save()
            self.transcript.close()
        self.saving_problem = None
        self.conversation, self.transcript, self._last_id = conversation, transcript, last_turn_id
        self.settings = settings or self.settings
        self.last_finished = None
        self._summed_up.clear()

    def turns_to_leave_out(self, text: str | None = None, *, go_on: bool = False) -> tuple[Turn, ...]:
        """The turns that must leave the window before `text` is sent and has room for an answer.

        Without a text, before the last turn is answered anew, or gone on with. Raises UsageError if there is no such.
        """
        if text is None:
            last = self._unfinished_turn() if go_on else self._repeatable_turn()
            base, asked = self.conversation.without_last(), last.messages if go_on else last.questions
        else:
            base, asked = self.conversation, (Message("user", text),)
        window = self.backend.info.context_length
        room = window - reserved_tokens(window, self.max_tokens)
        count = self.backend.count_tokens
        return turns_to_leave_out(self._read(base), asked, room, count, tight_tokens=tight_room(window))

    def fits_alone(self, text: str) -> bool:
        """Whether the window holds `text` where no turn comes before it."""
        alone = (*self._read(self.conversation).opening, Message("user", text))
        return self.backend.count_tokens(alone) < self.backend.info.context_length

    def turn_tokens(self, turn: Turn) -> int:
        """How much of the window a turn takes up while it is not left out."""
        before, after = self._read(self.conversation).opening, Message("user", "")
        whole = self.backend.count_tokens((*before, *turn.messages, after))
        return whole - self.backend.count_tokens((*before, after))

    def opening_tokens(self) -> int:
        """How much of the window is taken before the first turn."""
        return self._tokens(self._read(self.conversation).opening)

    def window_tokens(self) -> int:
        """How much of the window is taken before the next message."""
        return self._tokens(self._read(self.conversation).messages)

    def control_text(self, text: str) -> tuple[str, ...]:
        """The model's markers spelled out in what a turn with `text` adds; with the first turn the system prompt."""
        opening = () if self.conversation.turns else self._read(self.conversation).opening
        return self.backend.control_text((*opening, Message("user", text)))

    @property
    def max_tokens(self) -> int | None:
        """The limit of an answer."""
        return self.settings.max_tokens

    def save(self) -> None:
        """Write what could not be written before; `saving_problem` says whether that failed again."""
        self._save(Transcript.save)

    def close(self) -> None:
        """Close the backend and the file."""
        self.backend.close()
        if self.tools:
            self.tools.toolbox.close()
        if self.transcript:
            if self.saving_problem:  # else all is written; a copy in which nothing was said leaves no file
                self.save()
            self.transcript.close()

    def prompt_text(self) -> str:
        """The exact text the model reads before the next message, markers included."""
        return self.backend.prompt_text(self._read(self.conversation).messages)

    def _read(self, conversation: Conversation) -> Conversation:
        return as_read(conversation, self.tools.toolbox.schemas if self.tools else (), self.schema)

    def _tokens(self, messages: tuple[Message, ...]) -> int:
        """What these messages add to a request; they are counted before another, as no format takes none at all."""
        after = Message("user", "")
        return self.backend.count_tokens((*messages, after)) - self.backend.count_tokens((after,))

    def _last_turn(self) -> Turn:
        if not self.conversation.turns:
            raise UsageError("nothing was said yet", "send a message first")
        return self.conversation.turns[-1]

    def _repeatable_turn(self) -> Turn:
        last = self._last_turn()
        if last.question == SUMMARY_REQUEST:
            raise UsageError("the last turn is a summary", "/undo takes it back, /compact sums up again")
        return last

    def _unfinished_turn(self) -> Turn:
        last = self._last_turn()
        if last.answer.finish_reason not in ("cancelled", "length"):
            raise UsageError("the last answer is complete", "ask for more in your own words")
        return last

    def _answer(
        self,
        base: Conversation,
        asked: Turn,
        cancel: CancelToken,
        *,
        go_on: bool = False,
        sampling: Sampling | None = None,
    ) -> Generator[TurnEvent]:
        """The answer to what was asked after `base`, or what follows what the turn holds."""
        question, *earlier = asked.messages if go_on else asked.questions
        request = GenerationRequest(
            (*self._read(base).messages, question, *earlier),
            sampling or self.settings.sampling,
            self.max_tokens,
            self.stop,
            schema=self.schema,
            constrained=self.constrained,
        )
        loop = TurnLoop(self.backend, request, cancel, self.tools, self.most_repairs)
        if earlier and earlier[-1].role == "assistant":
            earlier.pop()  # the loop goes on with it
        finished: Finished | None = None
        try:
            with closing(loop.run()) as events:
                for event in events:
                    if isinstance(event, Finished):
                        finished = self.last_finished = event
                    yield event
        finally:
            if any(message.content for message in loop.messages):
                self._commit(base, replace(asked, messages=(question, *earlier, *loop.messages)), finished)

    def _commit(self, base: Conversation, turn: Turn, finished: Finished | None) -> None:
        self._last_id += 1
        turn = replace(turn, id=self._last_id)
        self.conversation = base.plus(turn)
        model = self.backend.info.model_name
        self._save(lambda transcript: transcript.append_turn(turn, _last_id(base), model=model, finished=finished))

    def _save_settings(self) -> None:
        self._save(lambda transcript: transcript.change_settings(self.settings, self.conversation.system_prompt))

    def _save(self, write: Callable[[Transcript], None]) -> None:
        """Write to the file. Where that fails, `saving_problem` says why; it is written with what comes next."""
        if self.transcript is None:
            return
        try:
            write(self.transcript)
            self.saving_problem = None
        except HermesError as problem:
            self.saving_problem = problem


def as_read(conversation: Conversation, tools: Sequence[ToolSchema], schema: Schema | None) -> Conversation:
    """The conversation as the model reads it: a schema, then the tools come before the system prompt."""
    given = offer(tools, conversation.system_prompt or "") or conversation.system_prompt
    if schema is not None:
        given = f"{schema_prompt(schema)}\n\n{given}" if given else schema_prompt(schema)
    return replace(conversation, system_prompt=given, tools=tuple(tools))


def _last_id(conversation: Conversation) -> int | None:
    return conversation.turns[-1].id if conversation.turns else None
