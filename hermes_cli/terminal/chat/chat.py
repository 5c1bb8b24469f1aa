"""A running chat: the session, the prompt, and what waits for the next message; the loop and the commands act on it."""

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from operator import is_not
from pathlib import Path

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import TurnEvent
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.errors import ContextOverflow, HermesError, LoadCancelled, UsageError
from hermes_cli.models.choose import saved_name
from hermes_cli.session.choices import Choices, Layers
from hermes_cli.session.session import Session
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.store.sessions.reader import SavedSession
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import standard_output
from hermes_cli.terminal.answer.turn_view import (
    ShownAnswer,
    show_answer,
    stats_line,
    tell_control_text,
    tell_cut,
    tell_loaded,
    tell_saving_problem,
    thousands,
    tokens_per_second,
    window_use,
)
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.prompt.keyboard import quiet_keyboard
from hermes_cli.terminal.prompt.prompt_input import PromptInput

Start = Callable[[CancelToken], Generator[TurnEvent]]
_EXCERPT_CHARACTERS = 40


class Chat:
    """One chat. `leaving` is the exit code once the chat is to end, `draft` what the next prompt begins with.

    `layers` are the choices the session is answered with; `choose` changes them. `open_model` takes the name of a
    model, `load_tools` loads the tools that are chosen, if any. Both raise HermesErrors.
    """

    def __init__(
        self,
        session: Session,
        backend: BackgroundBackend,
        layers: Layers,
        *,
        open_model: Callable[[str], BackgroundBackend],
        load_tools: Callable[[Choices], ToolUse | None],
        interactive: bool,
        attached: tuple[str, ...] = (),
        verbose: bool = False,
    ) -> None:
        self.session = session
        self.backend = backend
        self.layers = layers
        self.interactive = interactive
        self.attached = attached
        self._verbose = verbose
        self.written: set[Path] = set()
        self._open_model, self._load_tools = open_model, load_tools
        self.draft = ""
        self.last_text = ""
        self.answered = False
        self.leaving: int | None = None
        self._announced: frozenset[int] = frozenset()
        self._greeted = False
        self._told_problem = ""
        self._counted: tuple[tuple[object, ...], int | None] | None = None
        self._prompt: PromptInput | None = None

    def offer_unanswered(self, saved: SavedSession) -> None:
        """Begin the next prompt with the last question of a resumed session, if it has no answer."""
        transcript = self.session.transcript
        if self.interactive and saved.unanswered and transcript and transcript.id == saved.id:
            self.draft = as_typed(saved.unanswered)

    def watch_loading(self, prompt: PromptInput | None = None) -> None:
        """Let the prompt (the one before, if none is given) tell of the loading, and end where it fails."""
        self._prompt = prompt or self._prompt
        self.backend.on_change = self._loading_changed
        self._loading_changed()

    def _loading_changed(self) -> None:
        if self._prompt:
            self._prompt.refresh()
            if failure := self.backend.failure:
                self._prompt.fail(failure)
            elif self.backend.ready:
                self._prompt.print_above(self._tell_loaded)

    def say(self, text: str) -> None:
        """Send `text` with what is attached; it is asked for once more where turns would leave the window."""
        self.last_text, self.answered = text, False
        whole = "\n\n".join((text, *self.attached))
        if not self.make_room(whole, as_typed(text)):
            return
        before = self.session.conversation
        try:
            self.answer(lambda cancel: self.session.send(whole, cancel), whole)
        except ContextOverflow as problem:
            if before.turns and self.session.fits_alone(whole):
                problem.hint = f"begin anew with /clear, or {problem.hint}"
            if self.attached and self.session.fits_alone(text):
                problem.hint = f"take the files away with /read -, or {problem.hint}"
            raise
        finally:
            if self.session.conversation is not before:
                self.attached, self.answered = (), True

    def make_room(self, text: str | None, draft: str, *, go_on: bool = False) -> bool:
        """Leave out the turns that `text` needs to go. On a terminal they are only named first, and False returned.

        Without a text those that a new answer to the last turn needs to go, or one that goes on with it.
        """
        if not self.ready(draft):
            return False
        going = self.session.turns_to_leave_out(text, go_on=go_on)
        ids = frozenset(turn.id for turn in going)
        if going and self.interactive and not ids <= self._announced:
            self._announced = ids
            self.draft = draft
            console.notice(f"the window is full; this would leave out {self.named(going)}")
            again = "" if text is None else ", /retry sends it"
            console.notice("Enter sends it all the same")
            console.notice(f"after Ctrl-C: /compact sums up instead, /pin N keeps a turn{again}")
            return False
        if going:
            console.notice(f"left out of the window: {self.named(going)}")
            self.session.set_standing(sorted(ids), "left_out")
        return True

    def named(self, turns: tuple[Turn, ...]) -> str:
        """Which turns: `turns 2-5 (1.9k tok, "csv parser...")`."""
        ids = {turn.id for turn in turns}
        numbers = [number for number, turn in enumerate(self.session.conversation.turns, 1) if turn.id in ids]
        span = f"turn {numbers[0]}" if len(numbers) == 1 else f"turns {_runs(numbers)}"
        tokens = sum(self.session.turn_tokens(turn) for turn in turns)
        return f'{span} ({thousands(tokens)} tok, "{excerpt(turns[0].question)}")'

    def ready(self, draft: str = "") -> bool:
        """Wait for the model, with its loading shown. A stop returns False and gives `draft` back to the prompt."""
        cancel = CancelToken()
        status = console.StatusLine()
        try:
            with stopping(cancel), quiet_keyboard():
                self.backend.wait(
                    cancel,
                    lambda fraction: status.show("stopping" if cancel.cancelled else f"loading model {fraction:.0%}"),
                )
        except LoadCancelled:
            status.erase()
            self.draft = draft
            self._heed(cancel)
            if self.leaving is None:
                console.notice("loading stopped; the next message loads the model again")
            return False
        finally:
            status.erase()
        self._tell_loaded()
        return True

    def _tell_loaded(self) -> None:
        """What the user should know of the model, once it is there: above the prompt, or before the answer."""
        if not self._greeted:
            self._greeted = True
            tell_loaded(self.backend.info, verbose=self._verbose, in_chat=self.interactive)

    def answer(self, start: Start, asking: str = "", *, after: str = "", resumable: bool = True) -> None:
        """Show the answer that `start` begins.

        The text `asking` is added to what the model reads; `after` is what an answer that goes on holds already.
        """
        cancel, before = CancelToken(), self.session.conversation
        tell_control_text(self.session.control_text(asking))
        output = standard_output()
        if after:
            output.follow(after)
        with stopping(cancel), quiet_keyboard(output.resumed):
            try:
                shown = show_answer(start(cancel), output)
            except HermesError:
                with suppress(HermesError, OSError):
                    output.pause()  # what was said stays, and is kept in the session too
                raise
            if shown.text or not (self.interactive or shown.empty):
                output.finish()
        self._tell(shown, bool(asking) and self.session.conversation is before, resumable)
        self._heed(cancel)

    def begin_anew(self) -> None:
        """A new session with the settings of this one."""
        session = self.session
        system_prompt = session.conversation.system_prompt
        transcript = Transcript.new(session.settings, system_prompt) if self.layers.now.save is not False else None
        self.restart(Conversation(system_prompt), transcript)

    def restart(
        self,
        conversation: Conversation,
        transcript: Transcript | None,
        last_turn_id: int = 0,
        settings: SessionSettings | None = None,
    ) -> None:
        """Go on with another conversation. Raises OutputError where this one cannot be saved."""
        self.session.restart(conversation, transcript, last_turn_id, settings)
        self._announced = frozenset()

    def transcript(self) -> Transcript:
        """The file that keeps this session. Raises UsageError where there is none."""
        if self.session.transcript is None:
            raise UsageError("this session is not saved", "start with saving on, or keep a copy: /save chat.md")
        return self.session.transcript

    def choose(self, layers: Layers, *, reload_tools: bool = False) -> None:
        """Answer by these choices from the next message on. Raises UsageError, which changes nothing."""
        self.use_tools(layers, reload=reload_tools)
        now, session = layers.now, self.session
        if now.system_prompt != session.conversation.system_prompt:
            session.change_system_prompt(now.system_prompt)
        if now.session_settings() != session.settings:
            session.change_settings(now.session_settings())

    def use_tools(self, layers: Layers, *, reload: bool = False) -> None:
        """Take the tools and the schema of these choices, and keep the choices. Raises UsageError."""
        wanted = layers.now
        if reload or wanted.tools != self.layers.now.tools:
            loaded = self._load_tools(wanted)
            if self.session.tools:
                self.session.tools.toolbox.close()
            self.session.tools = loaded
        self.session.schema = wanted.schema
        self.layers = layers

    def change_model(self, name: str) -> None:
        """Close the model and load another; where that fails the old one is loaded again. Raises HermesError."""
        old = self._open_model(self.session.settings.model or self.backend.name)
        new = self._open_model(name)
        try:
            self._use(new)
            if not self.ready():
                raise LoadCancelled("loading was stopped", "the model before is loaded again")
        except HermesError:
            self._use(old)
            raise
        finally:
            self.watch_loading()
        self.choose(self.layers.with_flag(model=saved_name(name)))

    def _use(self, backend: BackgroundBackend) -> None:
        """Close the model before the next one takes up memory."""
        self.session.backend.close()
        self.session.backend = self.backend = backend
        self.session.last_finished = None
        self._greeted = False

    def _tell(self, shown: ShownAnswer, withdrawn: bool, resumable: bool) -> None:
        """What there is to say after an answer; `withdrawn` if the message is no turn because nothing came."""
        if self.interactive:
            if shown.cancelled and shown.text and resumable:
                console.notice("stopped: /continue goes on, /regen answers anew")
            elif shown.cancelled:
                console.notice("stopped: /retry sends the message again" if withdrawn else "stopped")
            elif not shown.text:
                console.notice("the model had nothing to say")
            if shown.text:
                console.notice(stats_line(shown.finished, self._window_use()))
                console.put("\n")
        tell_cut(shown.finished, self.session, "/continue" if self.interactive and resumable else "")
        problem = self.session.saving_problem
        told, self._told_problem = self._told_problem, problem.message if problem else ""
        if self._told_problem != told:
            tell_saving_problem(self.session)

    def _heed(self, cancel: CancelToken) -> None:
        """End the chat after a signal to do so; a Ctrl-C on a terminal was only for the work."""
        if cancel.reason and (cancel.reason != "interrupt" or not self.interactive):
            self.leaving = EXIT_CODES[cancel.reason]

    def status(self) -> str:
        """The line below the prompt: model, window, speed of the last answer; while it loads, how far it is."""
        if not self.backend.ready:
            progress = "not loaded" if self.backend.stopped else f"loading {self.backend.fraction:.0%}"
            return f"{self.backend.name} · {progress}"
        finished = self.session.last_finished
        parts = [self.backend.info.model_name, self._window_use()]
        if finished and (speed := tokens_per_second(finished)):
            parts.append(f"{speed:.1f} tok/s")
        return " · ".join(parts)

    def _window_use(self) -> str:
        """How much of the window is taken; counted where something has changed."""
        session = self.session
        key = (session.conversation, session.tools, session.schema, session.backend)
        if self._counted is None or any(map(is_not, self._counted[0], key)):
            used = None
            with suppress(HermesError):  # a template that refuses the conversation says so when it is asked
                used = session.window_tokens()
            self._counted = key, used
        return window_use(self._counted[1], session.backend.info.context_length)


def _runs(numbers: Sequence[int]) -> str:
    """1, 2, 3, 5 as `1-3, 5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def as_typed(text: str) -> str:
    """What sends `text` when it is typed: a slash at its start is doubled, or it would be a command."""
    return f"/{text}" if text.startswith("/") else text


def excerpt(text: str) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT_CHARACTERS else f"{line[: _EXCERPT_CHARACTERS - 1]}…"
