"""One chat in progress: its conversation, the backend that answers, and the file it is saved to."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from operator import is_not

from hermes_cli.backend import Backend
from hermes_cli.chat.context_window import reserved_tokens, tight_room, turns_to_leave_out
from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import Finished, TextDelta, ToolCallReady, TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import system_text
from hermes_cli.formats.json.mode import schema_prompt
from hermes_cli.formats.json.schema import Schema
from hermes_cli.session.record import SessionRecord, last_id
from hermes_cli.session.shown_text import shown_part
from hermes_cli.session.summary import SUMMARY_REQUEST, summarise
from hermes_cli.session.turn_loop import ToolUse, TurnLoop
from hermes_cli.store.sessions.writer import Transcript


class Session(SessionRecord):
    """A conversation with a backend, saved to a file if there is a `transcript`.

    A turn enters the conversation as a whole when its answer ends, even if it was stopped, and is saved at once; a
    turn without any text is withdrawn. A turn that is replaced stays in the file. A question is saved before it is
    answered, so that it survives a crash.
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
        tree: TurnTree | None = None,
        tools: ToolUse | None = None,
        schema: Schema | None = None,
        grammar: str | None = None,
        most_repairs: int = 0,
        constrained: bool = True,
    ) -> None:
        super().__init__(conversation, settings=settings, transcript=transcript, last_turn_id=last_turn_id, tree=tree)
        self.backend = backend
        self.stop = stop
        self.tools = tools
        self.schema, self.grammar = schema, grammar
        self.most_repairs = most_repairs
        self.constrained = constrained
        self._rendered: tuple[tuple[object, ...], str | None] | None = None  # the system text, and what it is from

    def send(
        self, text: str, cancel: CancelToken, *, after: int | None = None, prefill: str = ""
    ) -> Generator[TurnEvent]:
        """Ask the model `text`; yields the events of the answer, which begins with `prefill`.

        With `after`, the message follows that many of the turns and begins another branch.
        """
        question, base = Message("user", text), self.conversation.first(after)
        number = self._last_id + 1
        self._save(lambda transcript: transcript.append_question(number, question, last_id(base)))
        try:
            yield from self._answer(base, Turn(0, (question,)), cancel, prefill=prefill)
        finally:
            # A question without an answer stays saved if the program is being ended: it is asked again on resume.
            if self._last_id < number and cancel.reason not in ("terminate", "hangup"):
                self._save(lambda transcript: transcript.withdraw_question(number))

    def regenerate(
        self, cancel: CancelToken, sampling: Sampling | None = None, prefill: str = ""
    ) -> Generator[TurnEvent]:
        """Answer the last question again; the old answer stays as another version of the turn. Raises UsageError."""
        last = self._repeatable_turn()
        return self._answer(self.conversation.without_last(), last, cancel, sampling=sampling, prefill=prefill)

    def continue_answer(self, cancel: CancelToken) -> Generator[TurnEvent]:
        """Continue the last answer where it stopped or was cut; events hold the new part only. Raises UsageError."""
        last = self._unfinished_turn()
        return self._answer(self.conversation.without_last(), last, cancel, resume=True)

    def compact(self, cancel: CancelToken, keep: int = 0) -> Generator[TurnEvent, None, str]:
        """Summarise the conversation, pin the summary, and leave out all earlier turns except the last `keep`.

        Returns why the summary is not used, or "": one that is incomplete or implausible changes nothing. Turns that
        the user pinned stay; earlier summaries are replaced. Raises UsageError if there is nothing to summarise,
        ContextOverflow if a turn is too long for it.
        """
        self._last_turn()
        before = self.conversation
        older = before.turns[: max(len(before.turns) - keep, 0)]
        summaries = [turn for turn in older if turn.state == "pinned" and turn.question == SUMMARY_REQUEST]
        going = [turn for turn in older if turn.state == "kept" or turn in summaries]
        if not going:
            raise UsageError("there is nothing to summarise", "pinned turns and those to keep stay as they are")
        as_said = self._read(replace(before, turns=older))
        sampling = self.settings.sampling
        summary, self.last_finished, fault = yield from summarise(self.backend, as_said, going, sampling, cancel)
        if not fault:
            self._commit(before, summary, self.last_finished, self.backend.info.model_name)
            self._before_summary[self._last_id] = {turn.id: turn.state for turn in going}
            self.set_state([turn.id for turn in going], "left_out")
            self.set_state([self._last_id], "pinned")
        return fault

    def turns_to_leave_out(
        self, text: str | None = None, *, after: int | None = None, resume: bool = False
    ) -> tuple[Turn, ...]:
        """The turns to leave out so that `text` and an answer to it fit into the context; `after` as for `send`.

        Without `text`, those for a new answer to the last turn, or with `resume` for the rest of it. Raises UsageError.
        """
        if text is None:
            last = self._unfinished_turn() if resume else self._repeatable_turn()
            base, asked = self.conversation.without_last(), last.messages if resume else last.questions
        else:
            base, asked = self.conversation.first(after), (Message("user", text),)
        length = self.backend.info.context_length
        room = length - reserved_tokens(length, self.max_tokens)
        count = self.backend.count_tokens
        return turns_to_leave_out(self._read(base), asked, room, count, tight_tokens=tight_room(length))

    def fits_alone(self, text: str) -> bool:
        """Whether `text` fits into the context without earlier turns."""
        alone = (*self._read(self.conversation).opening, Message("user", text))
        return self.backend.count_tokens(alone) < self.backend.info.context_length

    def turn_tokens(self, turn: Turn) -> int:
        """The number of tokens a turn adds to the context."""
        before, after = self._read(self.conversation).opening, Message("user", "")
        whole = self.backend.count_tokens((*before, *turn.messages, after))
        return whole - self.backend.count_tokens((*before, after))

    def opening_tokens(self) -> int:
        """The number of tokens in the context before the first turn."""
        return self._tokens(self._read(self.conversation).opening)

    def context_tokens(self) -> int:
        """The number of tokens in the context before the next message."""
        return self._tokens(self._read(self.conversation).messages)

    def control_text(self, text: str) -> tuple[str, ...]:
        """The control tokens spelled out in `text` and, before the first turn, in the system prompt."""
        opening = () if self.conversation.turns else self._read(self.conversation).opening
        return self.backend.control_text((*opening, Message("user", text)))

    @property
    def max_tokens(self) -> int | None:
        """The limit of an answer, None for the context length."""
        return self.settings.max_tokens

    def close(self) -> None:
        """Close the backend and the file."""
        self.backend.close()
        if self.tools:
            self.tools.toolbox.close()
        if self.transcript:
            if self.saving_problem:  # otherwise all is written; an unused copy leaves no file
                self.save()
            self.transcript.close()

    def prompt_text(self) -> str:
        """The exact prompt before the next message, control tokens included."""
        return self.backend.prompt_text(self._read(self.conversation).messages)

    def _read(self, conversation: Conversation) -> Conversation:
        """`as_read` with the session's tools and schema; the system text is rendered only after a change."""
        key = (conversation.system_prompt, self.tools, self.schema)
        if self._rendered is None or any(map(is_not, self._rendered[0], key)):
            read = as_read(conversation, self.tools.toolbox.schemas if self.tools else (), self.schema)
            self._rendered = key, read.system_prompt
        return replace(conversation, system_prompt=self._rendered[1])

    def _tokens(self, messages: tuple[Message, ...]) -> int:
        """The tokens these messages add to a request; counted before another, as no format accepts an empty list."""
        after = Message("user", "")
        return self.backend.count_tokens((*messages, after)) - self.backend.count_tokens((after,))

    def _repeatable_turn(self) -> Turn:
        last = self._last_turn()
        if last.question == SUMMARY_REQUEST:
            raise UsageError("the last turn is a summary", "/undo removes it, /compact summarises again")
        return last

    def _unfinished_turn(self) -> Turn:
        last = self._last_turn()
        if last.answer.finish_reason == "stop":
            raise UsageError("the last answer is complete", "ask for more in a message")
        return last

    def _answer(
        self,
        base: Conversation,
        asked: Turn,
        cancel: CancelToken,
        *,
        resume: bool = False,
        sampling: Sampling | None = None,
        prefill: str = "",
    ) -> Generator[TurnEvent]:
        """The answer to the questions of `asked` after `base`, or with `resume` the rest of its answer."""
        question, *earlier = asked.messages if resume else asked.questions
        begun = (Message("assistant", prefill),) if prefill else ()
        request = GenerationRequest(
            (*self._read(base).messages, question, *earlier, *begun),
            sampling or self.settings.sampling,
            self.max_tokens,
            self.stop,
            schema=self.schema,
            grammar=self.grammar,
            constrained=self.constrained,
        )
        loop = TurnLoop(self.backend, request, cancel, self.tools, self.most_repairs)
        if earlier and earlier[-1].role == "assistant":
            earlier.pop()  # the loop continues it
        finished: Finished | None = None
        try:
            with closing(loop.run()) as events:
                for event in _with_prefill(events, shown_part(prefill, bool(self.tools))):
                    if isinstance(event, Finished):
                        finished = self.last_finished = event
                    yield event
        finally:
            stopped = finished is None or finished.reason == "cancelled"
            if any(message.content or (message.thinking and not stopped) for message in loop.messages):
                answered = replace(asked, messages=(question, *earlier, *loop.messages))
                self._commit(base, answered, finished, self.backend.info.model_name)


def as_read(conversation: Conversation, tools: Sequence[ToolSchema], schema: Schema | None) -> Conversation:
    """The conversation with the schema and then the tools written before the system prompt."""
    given = system_text(tools, conversation.system_prompt or "") or conversation.system_prompt
    if schema is not None:
        given = f"{schema_prompt(schema)}\n\n{given}" if given else schema_prompt(schema)
    return replace(conversation, system_prompt=given, tools=tuple(tools))


def _with_prefill(events: Iterator[TurnEvent], prefill: str) -> Iterator[TurnEvent]:
    """`events` with the text that begins the answer before the first of its own; none if it is stopped before."""
    for event in events:
        stopped = isinstance(event, Finished) and event.reason == "cancelled"
        if prefill and not stopped and isinstance(event, TextDelta | ToolCallReady | Finished):
            yield TextDelta(prefill)
            prefill = ""
        yield event
