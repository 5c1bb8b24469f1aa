"""From choices to a session that can be asked. Nothing is printed here: what the user should know comes back as notes.

`begin` reads the session to continue, `prepare` decides everything before a model is opened, `open_session` opens it.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hermes_cli.backend import Backend
from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import MOST_REPAIRS, MOST_ROUNDS, CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.errors import ModelNotFound, SessionBusy, UsageError, did_you_mean
from hermes_cli.models.choose import DEMO_NAME, ModelSpec, find_model, lasting_name
from hermes_cli.session.choices import LAST_SESSION, Choices, Layers, from_session, toolset
from hermes_cli.session.session import Session, as_read
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.store.sessions.files import latest_session
from hermes_cli.store.sessions.names import find_session
from hermes_cli.store.sessions.reader import SavedSession, first_words, read_session
from hermes_cli.store.sessions.writer import Transcript

if TYPE_CHECKING:
    from hermes_cli.engine.prompt import Prompt
    from hermes_cli.tools.approval import Decision, Policy
    from hermes_cli.tools.tool import Tool

Consent = Callable[[ToolCall, CancelToken], "Decision"]
MakeConsent = Callable[[Mapping[str, "Tool"], "Policy"], Consent]


@dataclass(frozen=True, slots=True)
class Start:
    """What was chosen, and the saved session to continue, if there is one."""

    layers: Layers
    saved: SavedSession | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is decided before a model is opened; `tools` have to be closed."""

    layers: Layers
    choices: Choices
    model: ModelSpec
    load: LoadOptions
    planner: Planner
    conversation: Conversation
    tools: ToolUse | None
    saved: SavedSession | None
    notes: tuple[str, ...]

    @property
    def as_read(self) -> Conversation:
        """The conversation as the model reads it."""
        return as_read(self.conversation, self.tools.toolbox.schemas if self.tools else (), self.choices.schema)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that can be asked, which the caller closes, and the choices it was opened with."""

    session: Session
    layers: Layers
    notes: tuple[str, ...]


def begin(layers: Layers, resume: str | None = None) -> Start:
    """Read the session to continue: `LAST_SESSION`, an id, a name or a path. Raises UsageError, SessionError."""
    start = Start(layers)
    if resume is not None:
        path = latest_session() if resume == LAST_SESSION else find_session(resume)
        if path is None:
            raise UsageError("there is no session yet", "begin one: hermes chat")
        start = continued(read_session(path), layers.with_session, with_preset=layers.keeps_saved_preset)
    choices = start.layers.now
    if choices.tool_choice not in (None, "auto") and not choices.tools:
        raise UsageError("--tool-choice needs tools", "name some with --tools; hermes tools list shows those built in")
    return start


def continued(saved: SavedSession, join: Callable[[Choices, Choices], Layers], *, with_preset: bool) -> Start:
    """Continue a saved session: `join` puts its choices, and the tools and schema of its preset, into layers."""
    preset, notes = _saved_toolset(saved) if with_preset else (Choices(), ())
    layers = join(from_session(saved.settings, saved.conversation.system_prompt), preset)
    return Start(layers, saved, (*saved.notices, *notes))


def _saved_toolset(saved: SavedSession) -> tuple[Choices, tuple[str, ...]]:
    """The tools and schema of the preset of a session, or a note that they cannot be used any more."""
    name = saved.settings.preset
    if name is None:
        return Choices(), ()
    from hermes_cli.store.presets.presets import find_preset

    try:
        preset = find_preset(name)
    except UsageError as problem:
        return Choices(), (f"{problem.message}; the session continues with its prompt and sampling, without its tools",)
    return toolset(preset), ()


def prepare(start: Start, consent: MakeConsent, cancel: CancelToken | None = None) -> Prepared:
    """Find the model, load the tools, and check what can be constrained. Raises HermesError, LoadCancelled."""
    choices, saved = start.layers.now, start.saved
    model = _find_model(start)
    conversation = replace(saved.conversation if saved else Conversation(), system_prompt=choices.system_prompt)
    notes, planner = list(start.notes), Planner()
    if model.name == DEMO_NAME and not choices.model:
        notes.append("no Hermes 3 model here; answering with the 8 MB demo model. Get the real one: hermes pull")
    with ExitStack() as on_failure:
        tools = load_tools(choices, consent, cancel)
        if tools:
            on_failure.callback(tools.toolbox.close)
        if choices.constrained is not False and (tools or choices.schema is not None):
            notes += planner.notes(choices.schema, tools.toolbox.schemas if tools else ())
        load = choices.load_options()
        on_failure.pop_all()
    return Prepared(start.layers, choices, model, load, planner, conversation, tools, saved, tuple(notes))


def _find_model(start: Start) -> ModelSpec:
    """The model to use. Raises ModelNotFound, which says where the model was named."""
    try:
        return find_model(start.layers.now.model)
    except ModelNotFound as problem:
        layer = start.layers.model_layer
        if layer == "settings" and (origin := start.layers.origins.get("model")):
            problem.message += f" (in {origin})"
        elif layer == "session" and start.saved:
            problem.message += f" (in the session {start.saved.id})"
            problem.hint = "continue with another: -m NAME; see what is here: hermes models"
        raise


def load_tools(choices: Choices, consent: MakeConsent, cancel: CancelToken | None = None) -> ToolUse | None:
    """The tools that were chosen, and who is asked before one runs; None without tools. Raises UsageError."""
    if not choices.tools:
        return None
    from hermes_cli.tools.toolbox import load_toolbox

    choice = choices.tool_choice or "auto"
    toolbox = load_toolbox(choices.tools, choices.tool_variables or (), cancel)
    known = ("auto", "none", "required", *toolbox.tools)
    if choice not in known:
        toolbox.close()
        hint = did_you_mean(choice, known, f"one of {', '.join(known)}")
        raise UsageError(f"--tool-choice {choice} is not the name of a tool", hint)
    asked = consent(toolbox.tools, choices.tool_policy or "ask")
    return ToolUse(toolbox, asked, choice, choices.max_rounds or MOST_ROUNDS)


def open_model(
    model: ModelSpec,
    load: LoadOptions,
    cancel: CancelToken,
    on_progress: Callable[[float], None],
    planner: Planner | None = None,
) -> Backend:
    """The model, opened as this machine allows; `on_progress` gets 0 to 1. Raises LoadCancelled, HermesError.

    `planner` is the one that has examined the schemas.
    """
    # Here and not above: a chat imports the engine on the thread that loads, once its prompt is there.
    from hermes_cli.engine.local import open_backend
    from hermes_cli.machine.load_plan import plan_load

    plan = plan_load(model.path, load, lambda: not cancel.cancelled)
    return open_backend(
        model.path,
        *plan.attempts,
        cancel=cancel,
        on_progress=on_progress,
        notes=plan.notes,
        advice=plan.advice,
        planner=planner,
    )


def in_background(model: ModelSpec, load: LoadOptions, planner: Planner | None = None) -> BackgroundBackend:
    """The model, opened on a thread of its own once it is told to start."""
    return BackgroundBackend(model.name, lambda cancel, progress: open_model(model, load, cancel, progress, planner))


def open_session(prepared: Prepared, load: Callable[[], Backend]) -> Opened:
    """The session: a new one, or the saved one with what was chosen otherwise. Only then its file is opened."""
    choices, saved, tools = prepared.choices, prepared.saved, prepared.tools
    # The demo model is only saved where it was named: a real one may be there next time.
    name = choices.model or (None if prepared.model.name == DEMO_NAME else prepared.model.name)
    choices = replace(choices, model=name and lasting_name(name))
    settings = choices.session_settings()
    with ExitStack() as on_failure:
        if tools:
            on_failure.callback(tools.toolbox.close)
        backend = load()
        on_failure.callback(backend.close)
        transcript, notes = _transcript(prepared, choices)
        session = Session(
            backend,
            prepared.conversation,
            tools=tools,
            schema=choices.schema,
            most_repairs=MOST_REPAIRS,
            constrained=choices.constrained is not False,
            settings=settings,
            stop=choices.stop or (),
            transcript=transcript,
            last_turn_id=saved.last_turn_id if saved else 0,
        )
        on_failure.pop_all()
    unseeded = replace(settings, sampling=replace(settings.sampling, seed=None))
    if saved and (saved.settings, saved.conversation.system_prompt) != (unseeded, choices.system_prompt):
        session.change_settings(settings)
    return Opened(session, prepared.layers.with_flag(model=choices.model), notes)


def _transcript(prepared: Prepared, choices: Choices) -> tuple[Transcript | None, tuple[str, ...]]:
    """The file to write to, if the session is saved."""
    if choices.save is False:
        return None, ()
    if prepared.saved is None:
        return Transcript.new(choices.session_settings(), choices.system_prompt), ()
    return reopen(prepared.saved)


def reopen(saved: SavedSession) -> tuple[Transcript, tuple[str, ...]]:
    """The file of a saved session to append to; a copy, and a note, where another program is writing it."""
    try:
        return Transcript.reopen(saved), _unanswered(saved)
    except SessionBusy as busy:
        copy = Transcript.fork(saved)
        return copy, (f"{busy.message}; continuing in a copy, {copy.id}",)


def _unanswered(saved: SavedSession) -> tuple[str, ...]:
    """A note about a last question that has no answer; the program was ended while it was generated."""
    if saved.unanswered is None:
        return ()
    return (f"hermes was ended before it answered the last question: {first_words(saved.unanswered)}",)


def written_prompt(prepared: Prepared, text: str) -> "tuple[Prompt, tuple[str, ...]]":
    """What the model would read with `text`, written with its vocabulary alone, and the markers that `text` spells."""
    from hermes_cli.engine.llama.model import Model
    from hermes_cli.engine.prompt import PromptWriter
    from hermes_cli.machine import probe

    if prepared.tools:
        prepared.tools.toolbox.close()
    probe.verdict()
    model = Model(prepared.model.path, vocab_only=True)
    try:
        messages = (*prepared.as_read.messages, Message("user", text))
        writer = PromptWriter(model, prepared.load.template)
        return writer.write(messages), writer.control_text(messages)
    finally:
        model.close()
