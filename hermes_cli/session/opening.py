"""Opens a session with the given choices. Nothing is printed here: messages for the user are returned as notes.

`begin` reads the session to continue, `prepare` decides everything before a model is opened, `open_session` opens it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from hermes_cli.backend import Backend
from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import MOST_REPAIRS, CancelToken
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.errors import HermesError, ModelNotFound, SessionBusy, UsageError
from hermes_cli.session.choices import LAST_SESSION, Choices, Layers
from hermes_cli.session.session import Session, as_read
from hermes_cli.session.sources import from_session, toolset, with_model_defaults
from hermes_cli.session.target.find import find_target
from hermes_cli.session.target.target import Target, WrittenPrompt
from hermes_cli.session.tool_loading import MakeConsent, ToolLoader
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.store.sessions.files import folder_problem, latest_session
from hermes_cli.store.sessions.names import find_session
from hermes_cli.store.sessions.reader import SavedSession, first_words, read_session
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """The resolved choices, and the saved session to continue, if there is one."""

    layers: Layers
    choices: Choices
    saved: SavedSession | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything decided before a model is opened; `tools` have to be closed."""

    layers: Layers
    choices: Choices
    target: Target
    conversation: Conversation
    tools: ToolUse | None
    saved: SavedSession | None
    notes: tuple[str, ...]

    @property
    def as_read(self) -> Conversation:
        """The conversation as the model reads it."""
        return as_read(self.conversation, self.tools.toolbox.schemas if self.tools else (), self.choices.schema)

    def open(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> Backend:
        """The target, ready to answer. Raises as `Target.open`, with the origin of a setting that may be the cause."""
        with _naming_origin(self.layers):
            return self.target.open(cancel, on_progress)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open session, which the caller closes, and the choices it was opened with."""

    session: Session
    layers: Layers
    notes: tuple[str, ...]


def begin(layers: Layers, resume: str | None = None) -> Start:
    """Read the session to continue: `LAST_SESSION`, an id, a name or a path. Raises UsageError, SessionError.

    `layers` are with the defaults of their model.
    """
    saved, notes = None, tuple[str, ...]()
    if resume is not None:
        path = latest_session() if resume == LAST_SESSION else find_session(resume)
        if path is None:
            raise folder_problem() or UsageError("there is no session yet", "start one: hermes chat")
        saved = read_session(path)
        layers, notes = continued(saved, layers.with_session, with_preset=layers.keeps_saved_preset)
    if saved or layers.preset.model or layers.preset.endpoint:  # another model than the options and settings name
        layers = with_model_defaults(layers)
    start = Start(layers, layers.now, saved, notes)
    if start.choices.tool_choice not in (None, "auto") and not (start.choices.tools or start.choices.mcp):
        raise UsageError(
            "--tool-choice needs tools", "add some with --tools; hermes tools list shows the built-in ones"
        )
    return start


def continued(
    saved: SavedSession, join: Callable[[Choices, Choices], Layers], *, with_preset: bool
) -> tuple[Layers, tuple[str, ...]]:
    """The layers to continue a saved session with, and notes for the user.

    `join` adds its choices, and those that its preset makes of tools and schema, to the layers.
    """
    preset, notes = _saved_toolset(saved) if with_preset else (Choices(), ())
    by_preset, named = preset.mcp or (), saved.settings.mcp
    if named is not None:
        preset = replace(preset, mcp=None)
    layers = join(from_session(saved.settings, saved.conversation.system_prompt), preset)
    if named and layers.flags.mcp is None:
        from hermes_cli.tools.mcp_server import saved_servers

        servers, missing = saved_servers(named, {*by_preset, *layers.mcp_servers})
        layers, notes = replace(layers, session=replace(layers.session, mcp=servers)), (*notes, *missing)
    return layers, (*saved.notices, *notes)


def _saved_toolset(saved: SavedSession) -> tuple[Choices, tuple[str, ...]]:
    """The tools and schema of the preset of a session, or a note that they cannot be used any more."""
    name = saved.settings.preset
    if name is None:
        return Choices(), ()
    from hermes_cli.store.presets.presets import find_preset
    from hermes_cli.store.presets.server_prompts import is_of_server

    if is_of_server(name):
        return Choices(), ()
    try:
        preset = find_preset(name)
    except UsageError as problem:
        return Choices(), (f"{problem.message}; the session continues with its prompt and sampling, without its tools",)
    return toolset(preset), ()


def prepare(
    start: Start, consent: MakeConsent, cancel: CancelToken | None = None, *, servers_later: bool = False
) -> Prepared:
    """Find the model, load the tools, and check which constraints can be enforced. Raises HermesError, LoadCancelled.

    With `servers_later`, MCP servers are not started yet; otherwise those that an option names must start.
    """
    choices, saved = start.choices, start.saved
    check_grammar(choices)
    target = _find_target(start)
    conversation = replace(saved.conversation if saved else Conversation(), system_prompt=choices.system_prompt)
    notes = list(start.notes)
    if target.is_demo and not choices.model:
        from hermes_cli.models.by_name import use_of_others

        notes.append("no Hermes 3 model found; answering with the 8 MB demo model. To download Hermes 3: hermes pull")
        notes += filter(None, [use_of_others()])
    with ExitStack() as on_failure:
        loader = ToolLoader(consent, start.layers.mcp_servers)
        tools = loader.load(choices, cancel, servers_later=servers_later, needs_servers=bool(start.layers.flags.mcp))
        if tools:
            notes += tools.notes
            on_failure.callback(tools.toolbox.close)
        notes += constraint_notes(target, choices, tools)
        on_failure.pop_all()
    return Prepared(start.layers, choices, target, conversation, tools, saved, tuple(notes))


def constraint_notes(target: Target, choices: Choices, tools: ToolUse | None) -> tuple[str, ...]:
    """Notes on the parts of the schema and the tools that generation does not enforce. Raises UsageError."""
    check_grammar(choices)
    held = tools or choices.schema is not None or choices.grammar is not None
    if choices.constrained is False or not held:
        return ()
    return target.constraint_notes(choices, tools.toolbox.schemas if tools else ())


def check_grammar(choices: Choices) -> None:
    """Raise UsageError for a grammar together with tools, a schema or --no-constrain."""
    if choices.grammar is None:
        return
    if choices.schema is not None or choices.tools or choices.mcp:
        raise UsageError("a grammar cannot be combined with tools or a schema", "omit --grammar, or the others")
    if choices.constrained is False:
        raise UsageError("--grammar and --no-constrain cannot be used together", "omit one of them")


def _find_target(start: Start) -> Target:
    """The model to use. Raises UsageError, and ModelNotFound with the place where the model was named."""
    try:
        return _target(start.choices, start.layers)
    except ModelNotFound as problem:
        if origin := start.layers.origin_of("model"):
            problem.message += f" (in {origin})"
        elif start.layers.model_layer == "session" and start.saved:
            problem.message += f" (in the session {start.saved.id})"
            problem.hint = "continue with another: -m NAME; list the local models: hermes models"
        raise


def other_target(prepared: Prepared, name: str) -> Target:
    """The target for another model, or for the one that was prepared. Raises ModelNotFound, UsageError."""
    if name == prepared.target.name:
        return prepared.target
    layers = with_model_defaults(prepared.layers.with_model(name, with_adapters=False))
    found = _target(replace(prepared.choices, model=name, load=layers.now.load), layers)
    return prepared.target if found.file is not None and found.file == prepared.target.file else found


def _target(choices: Choices, layers: Layers) -> Target:
    chosen = choices.endpoint in (layers.flags.endpoint, layers.settings.endpoint)
    return find_target(choices, layers.endpoints, layers.models, chosen_by_user=chosen)


def open_session(prepared: Prepared, load: Callable[[], Backend]) -> Opened:
    """A new session, or the saved one with new choices. Its file is opened last, when the model is there."""
    choices, saved, tools = prepared.target.saved(prepared.choices), prepared.saved, prepared.tools
    settings = choices.session_settings()
    with ExitStack() as on_failure:
        if tools:
            on_failure.callback(tools.toolbox.close)
        backend = load()
        on_failure.callback(backend.close)
        transcript, notes = _transcript(prepared, choices, settings)
        session = Session(
            backend,
            prepared.conversation,
            tools=tools,
            schema=choices.schema,
            grammar=choices.grammar,
            most_repairs=MOST_REPAIRS,
            constrained=choices.constrained is not False,
            settings=settings,
            stop=choices.stop or (),
            transcript=transcript,
            last_turn_id=saved.last_turn_id if saved else 0,
            tree=branches(saved, transcript) if saved else None,
        )
        on_failure.pop_all()
    unseeded = replace(settings, sampling=replace(settings.sampling, seed=None))
    if saved and (saved.settings, saved.conversation.system_prompt) != (unseeded, choices.system_prompt):
        session.change_settings(settings)
    return Opened(session, prepared.layers.with_flag(model=choices.model), notes)


def _transcript(
    prepared: Prepared, choices: Choices, settings: SessionSettings
) -> tuple[Transcript | None, tuple[str, ...]]:
    """The file to write to, if the session is saved."""
    if choices.save is False:
        return None, ()
    if prepared.saved is None:
        return Transcript.new(settings, choices.system_prompt), ()
    return reopen(prepared.saved)


def reopen(saved: SavedSession) -> tuple[Transcript, tuple[str, ...]]:
    """The file of a saved session to append to; a copy, and a note, where another program is writing it."""
    try:
        return Transcript.reopen(saved), _unanswered(saved)
    except SessionBusy as busy:
        copy = Transcript.fork(saved)
        return copy, (f"{busy.message}; continuing in a copy, {copy.id}",)


def branches(saved: SavedSession, transcript: Transcript | None) -> TurnTree | None:
    """All branches of a saved session; None if it is continued in a copy, which has the current branch only."""
    return saved.tree if transcript is None or transcript.id == saved.id else None


def _unanswered(saved: SavedSession) -> tuple[str, ...]:
    """A note about a last question that has no answer; the program was ended while it was generated."""
    if saved.unanswered is None:
        return ()
    return (f"hermes was stopped before it answered the last question: {first_words(saved.unanswered)}",)


def written_prompt(prepared: Prepared, text: str, prefill: str) -> WrittenPrompt:
    """The prompt that asks `text` and begins the answer. A local model is opened with its vocabulary only."""
    begun = (Message("assistant", prefill),) if prefill else ()
    if prepared.tools:
        prepared.tools.toolbox.close()
    with _naming_origin(prepared.layers):
        return prepared.target.written((*prepared.as_read.messages, Message("user", text), *begun))


@contextmanager
def _naming_origin(layers: Layers) -> Iterator[None]:
    """Add to an error the origin of the setting that may be its cause."""
    try:
        yield
    except HermesError as problem:
        if problem.setting and (origin := layers.origin_of(problem.setting)):
            problem.message += f" ({problem.setting} is set in {origin})"
        raise
