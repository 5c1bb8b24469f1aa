"""A running chat: the session, the prompt, and the attachments of the next message; used by the loop and commands."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import TurnEvent
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.errors import ContextOverflow, HermesError, LoadCancelled, UsageError
from hermes_cli.models.choose import saved_name
from hermes_cli.session.choices import Choices, Layers
from hermes_cli.session.session import Session
from hermes_cli.session.sources import with_model_defaults
from hermes_cli.session.tool_loading import ToolLoader
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.store.sessions.reader import SavedSession
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.attention import call_back
from hermes_cli.terminal.answer.output import standard_output
from hermes_cli.terminal.answer.turn_view import (
    ShownAnswer,
    print_control_text,
    print_cut,
    print_new_notes,
    print_saving_problem,
    show_answer,
    stats_line,
    thousands,
    tokens_per_second,
)
from hermes_cli.terminal.attachments.attachment import Attachment, joined
from hermes_cli.terminal.attachments.size import size_line
from hermes_cli.terminal.chat.context_use import ContextUse
from hermes_cli.terminal.chat.named_turns import named
from hermes_cli.terminal.chat.readiness import Readiness
from hermes_cli.terminal.chat.texts import as_typed
from hermes_cli.terminal.interrupts import stopping
from hermes_cli.terminal.prompt.keyboard import quiet_keyboard
from hermes_cli.terminal.prompt.prompt_input import PromptInput

StartAnswer = Callable[[CancelToken], Generator[TurnEvent]]


class Chat(Readiness):
    """One chat.

    `layers` are the choices the session is answered with; `choose` changes them. `open_model` takes the name of a
    model and raises HermesErrors; `constraint_notes` says what of the tools and the schema cannot be enforced.
    """

    def __init__(
        self,
        session: Session,
        backend: BackgroundBackend,
        layers: Layers,
        *,
        open_model: Callable[[str], BackgroundBackend],
        tools: ToolLoader,
        constraint_notes: Callable[[Choices, ToolUse | None], tuple[str, ...]] = lambda choices, tools: (),
        interactive: bool,
        verbose: bool = False,
    ) -> None:
        super().__init__(session, backend, layers, tools, interactive=interactive, verbose=verbose)
        self.attached: tuple[Attachment, ...] = ()
        self.written: set[Path] = set()
        self._open_model, self._constraint_notes = open_model, constraint_notes
        self.unsent: tuple[str, int | None] | None = None  # a message without an answer, and what it follows
        self.prefill = ""  # of the next answer; that of all answers is a setting of the session
        self._announced: frozenset[int] = frozenset()
        self._printed_problem = ""
        self._context_use = ContextUse()
        self._prompt: PromptInput | None = None

    def offer_unanswered(self, saved: SavedSession) -> None:
        """Begin the next prompt with the last question of a resumed session, if it has no answer."""
        transcript = self.session.transcript
        if self.interactive and saved.unanswered and transcript and transcript.id == saved.id:
            self.draft = as_typed(saved.unanswered)

    def watch_loading(self, prompt: PromptInput | None = None) -> None:
        """Show the loading of the model in `prompt` (default: the last one), and end the prompt if it fails."""
        self._prompt = prompt or self._prompt
        self.backend.on_change = self._loading_changed
        self._loading_changed()

    def _loading_changed(self) -> None:
        if self._prompt:
            self._prompt.refresh()
            if failure := self.backend.failure:
                self._prompt.fail(failure)
            elif self.backend.ready:
                self._prompt.print_above(self._print_loaded)

    def say(self, text: str, after: int | None = None) -> None:
        """Send `text` with the attachments; if turns would be left out, only after Enter is pressed again.

        With `after`, the message follows that many of the turns and begins another branch.
        """
        self.unsent = text, after
        whole = joined(text, self.attached)
        if not self.make_room(as_typed(text), whole, after=after):
            return
        before, begun = self.session.conversation, self.beginning
        try:
            self.answer(lambda cancel: self.session.send(whole, cancel, after=after, prefill=begun), whole)
        except ContextOverflow as problem:
            if before.turns and self.session.fits_alone(whole):
                drop = "drop the oldest turns with /set overflow drop, " if self.layers.now.overflow == "error" else ""
                problem.hint = f"{drop}start a new session with /new, or {problem.hint}"
            if self.attached and self.session.fits_alone(text):
                problem.hint = f"remove the files with /attach -, or {problem.hint}"
            raise
        finally:
            if self.session.conversation is not before:
                self.attached, self.unsent, self.prefill = (), None, ""

    def attach(self, found: Sequence[Attachment]) -> None:
        """Attach texts to the next message, and print how long they are."""
        self.attached = (*self.attached, *found)
        console.notice(f"attached to the next message: {self.size_line(found)}")

    def size_line(self, attachments: Sequence[Attachment]) -> str:
        """The names and the number of tokens of attachments, estimated while the model loads."""
        return size_line(attachments, self.backend if self.backend.ready else None)

    @property
    def beginning(self) -> str:
        """The text that the next answer begins with."""
        return self.prefill or self.session.settings.prefill or ""

    def ask(self, label: str, draft: str = "") -> str | None:
        """A text from the user that is not a message; None if the question is cancelled."""
        return self._prompt.ask(label, draft) if self._prompt else None

    def make_room(self, draft: str, text: str | None = None, *, after: int | None = None, resume: bool = False) -> bool:
        """Leave out turns so that `text` fits; on a terminal, first only name them and return False.

        Without `text`, for a new answer to the last turn, or with `resume` for the rest of its answer.
        """
        policy = self.layers.now.overflow
        if not self.ready(draft):
            return False
        if policy == "error":
            return True
        going = self.session.turns_to_leave_out(text, after=after, resume=resume)
        ids = frozenset(turn.id for turn in going)
        asks = self.interactive and after is None and policy != "drop"
        if going and asks and not ids <= self._announced:
            self._announced = ids
            self.draft = draft
            console.notice(f"the context is full; sending this would leave out {named(self.session, going)}")
            again = "" if text is None else ", /retry sends the message"
            console.notice("press Enter to send anyway; /set overflow drop stops asking")
            console.notice(f"after Ctrl-C: /compact summarises instead, /pin N keeps a turn{again}")
            return False
        if going:
            self.session.set_state(sorted(ids), "left_out")
            rest = f"the other {thousands(self.session.context_tokens())} tok are processed again"
            console.notice(f"left out of the context: {named(self.session, going)}; {rest}")
        return True

    def answer(self, start: StartAnswer, asking: str = "", *, after: str = "", resumable: bool = True) -> None:
        """Show the answer that `start` generates.

        `asking` is the text that is sent; `after` is the existing part of an answer that is continued.
        """
        cancel, before, known = CancelToken(), self.session.conversation, self.backend.info
        print_control_text(self.session.control_text(asking))
        output, began = standard_output(), time.monotonic()
        if after:
            output.follow(after)
        with stopping(cancel), quiet_keyboard(output.resumed):
            try:
                shown = show_answer(start(cancel), output)
            except HermesError:
                with suppress(HermesError, OSError):
                    output.pause()  # the text stays, and is in the session too
                raise
            if shown.text or not (self.interactive or shown.empty):
                output.finish()
        print_new_notes(self.backend.info, known)
        if not shown.cancelled:
            call_back(time.monotonic() - began, shown.text)
        self._print_notices(shown, bool(asking) and self.session.conversation is before, resumable)
        self._leave_after(cancel)

    def start_new(self) -> None:
        """Start a new session with the settings of this one."""
        settings, system_prompt = self.session.settings, self.session.conversation.system_prompt
        transcript = None if self.layers.now.save is False else Transcript.new(settings, system_prompt)
        self.restart(Conversation(system_prompt), transcript)

    def restart(
        self,
        conversation: Conversation,
        transcript: Transcript | None,
        last_turn_id: int = 0,
        settings: SessionSettings | None = None,
        tree: TurnTree | None = None,
    ) -> None:
        """Switch to another conversation. Raises OutputError if this one cannot be saved."""
        self.session.restart(conversation, transcript, last_turn_id, settings, tree)
        self._announced = frozenset()
        self.unsent = None

    def transcript(self) -> Transcript:
        """The file of this session. Raises UsageError if it is not saved."""
        if self.session.transcript is None:
            raise UsageError("this session is not saved", "start without --no-save, or write a copy: /export chat.md")
        return self.session.transcript

    def choose(self, layers: Layers, *, reload_tools: bool = False) -> None:
        """Use these choices from the next message on. Raises UsageError before anything is changed."""
        self.use_tools(layers, reload=reload_tools)
        now, session = layers.now, self.session
        if now.system_prompt != session.conversation.system_prompt:
            session.change_system_prompt(now.system_prompt)
        if now.session_settings() != session.settings:
            session.change_settings(now.session_settings())

    def use_tools(self, layers: Layers, *, reload: bool = False) -> None:
        """Use these choices, with their tools and schema, but leave the conversation alone. Raises UsageError."""
        wanted, now, before = layers.now, self.layers.now, self.session.tools
        same_files = not reload and wanted.tools == now.tools
        reload = not same_files or wanted.mcp != now.mcp
        form = wanted.schema, wanted.grammar
        tools = self._tools.loaded_again(before, wanted, same_files=same_files) if reload else before
        with ExitStack() as on_failure:
            if reload and tools:
                on_failure.callback(tools.toolbox.close, before.toolbox if before else None)
            notes = self._constraint_notes(wanted, tools) if reload or form != (now.schema, now.grammar) else ()
            on_failure.pop_all()
        if reload and before:
            before.toolbox.close(tools.toolbox if tools else None)
        self._tool_cost_due = self._tool_cost_due or reload
        self.session.tools, self.session.schema, self.session.grammar, self.layers = tools, *form, layers
        console.notice(*notes)

    def change_model(self, name: str) -> None:
        """Close the model and load another; if that fails, load the old one again. Raises HermesError."""
        old = self._open_model(self.session.settings.model or self.backend.name)
        new = self._open_model(name)
        try:
            self._use(new)
            if not self.ready():
                raise LoadCancelled("loading was stopped", "the previous model is loaded again")
        except HermesError:
            self._use(old)
            raise
        finally:
            self.watch_loading()
        layers = with_model_defaults(self.layers.with_model(saved_name(name), with_adapters=False))
        if new.info.adapters and not layers.now.load.lora:  # the model it was started with
            layers = self.layers.with_model(saved_name(name), with_adapters=True)
        self.choose(layers)

    def _use(self, backend: BackgroundBackend) -> None:
        """Switch to a backend; the old one is closed first, to free its memory."""
        self.session.backend.close()
        self.session.backend = self.backend = backend
        self.session.last_finished = None
        self._printed_loaded = False
        self._tool_cost_due = True

    def _print_notices(self, shown: ShownAnswer, withdrawn: bool, resumable: bool) -> None:
        """Print the notices after an answer; `withdrawn` if there was no text, so that the message is not a turn."""
        if self.interactive:
            if shown.cancelled and shown.text and resumable:
                console.notice("stopped: /continue resumes, /retry tries again")
            elif shown.cancelled:
                console.notice("stopped: /retry sends the message again" if withdrawn else "stopped")
            elif not shown.text:
                console.notice("the model wrote nothing")
            if shown.text:
                console.notice(stats_line(shown.finished, self._context_use.of(self.session)))
                console.put("\n")
        print_cut(shown.finished, self.session, "/continue" if self.interactive and resumable else "")
        problem = self.session.saving_problem
        before, self._printed_problem = self._printed_problem, problem.message if problem else ""
        if self._printed_problem != before:
            print_saving_problem(self.session)

    def status(self) -> str:
        """The line below the prompt: model, context, speed of the last answer, or the progress of loading."""
        if not self.backend.ready:
            progress = "not loaded" if self.backend.stopped else f"loading {self.backend.fraction:.0%}"
            return f"{self.backend.name} · {progress}"
        finished = self.session.last_finished
        parts = [self.backend.info.model_name, self._context_use.of(self.session)]
        if finished and (speed := tokens_per_second(finished)):
            parts.append(f"{speed:.1f} tok/s")
        if self.attached:
            parts.append(f"{len(self.attached)} attached")
        return " · ".join(parts)
