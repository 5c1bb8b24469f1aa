"""From options to a session that can be asked: the model found and loaded, with what the user should know said."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from hermes_cli.backend import Backend
from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest, ToolSchema
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.errors import LoadCancelled, ModelNotFound, UsageError
from hermes_cli.formats.json.schema import Schema
from hermes_cli.models.choose import DEMO_NAME, ModelSpec, find_model, lasting_name
from hermes_cli.session.choices import LAST_SESSION, ChatSettings, ToolSettings, where_open, with_defaults, with_offer
from hermes_cli.session.session import Session, as_read
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.store.sessions.files import latest_session
from hermes_cli.store.sessions.names import find_session
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal.answer.turn_view import tell_control_text, tell_loaded
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.reopening import open_transcript, saved_preset
from hermes_cli.terminal.console import StatusLine, notice
from hermes_cli.terminal.text_file import wrapped

if TYPE_CHECKING:
    from hermes_cli.engine.prompt import Prompt


def open_session(settings: ChatSettings, cancel: CancelToken) -> Session:
    """A session on the model the settings ask for; closing it is the caller's. Raises LoadCancelled."""
    settings = resumed(settings)
    spec = _chosen_model(settings)

    def load() -> Backend:
        status = StatusLine()
        try:
            backend = _opened(spec, settings, cancel, lambda part: status.show(f"loading {spec.name} {part:.0%}"))
        finally:
            status.erase()
        tell_loaded(backend.info, verbose=settings.verbose)
        return backend

    return _session(load, spec, settings, cancel)


def open_chat(settings: ChatSettings, *, interactive: bool) -> Chat:
    """A chat whose model loads in the background; closing its session is the caller's."""
    settings = resumed(settings)

    def find(name: str | None) -> Callable[[], BackgroundBackend]:
        return in_background(_chosen_model(replace(settings, model=name)))

    def in_background(spec: ModelSpec) -> Callable[[], BackgroundBackend]:
        def load(cancel: CancelToken, progress: Callable[[float], None]) -> Backend:
            return _opened(spec, settings, cancel, progress)

        return lambda: BackgroundBackend(spec.name, load)

    attached = tuple(wrapped(path) for path in settings.files)
    spec = _chosen_model(settings)
    session = _session(in_background(spec), spec, settings)
    assert isinstance(session.backend, BackgroundBackend)
    return Chat(
        session,
        session.backend,
        find,
        interactive=interactive,
        saving=settings.save,
        attached=attached,
        verbose=settings.verbose,
        load_tools=lambda sources: load_tools(replace(settings.tools, sources=tuple(sources), choice="auto")),
        offer=(settings.tools.sources, settings.schema),
        own_offer=settings.own_offer,
        own_settings=settings.own,
    )


def _opened(
    spec: ModelSpec, settings: ChatSettings, cancel: CancelToken, on_progress: Callable[[float], None]
) -> Backend:
    """The model, loaded as this machine allows. Raises LoadCancelled and other HermesErrors."""
    # Here and not above: a chat imports the engine on the thread that loads, once its prompt is there.
    from hermes_cli.engine.local import open_backend
    from hermes_cli.machine.load_plan import plan_load

    plan = plan_load(spec.path, settings.load, lambda: not cancel.cancelled)
    return open_backend(
        spec.path, *plan.attempts, cancel=cancel, on_progress=on_progress, notes=plan.notes, advice=plan.advice
    )


def resumed(settings: ChatSettings) -> ChatSettings:
    """The settings with the saved session to go on with, and its own where the options leave something open.

    Nothing changes where that is done, or there is none to go on with. Raises UsageError, SessionError.
    """
    if settings.resume is not None and settings.saved is None:
        settings = _with_saved(settings, settings.resume)
    if settings.tools.choice != "auto" and not settings.tools.sources:
        raise UsageError("--tool-choice needs tools", "name some with --tools; hermes tools list shows those built in")
    return settings


def _with_saved(settings: ChatSettings, name: str) -> ChatSettings:
    path = latest_session() if name == LAST_SESSION else find_session(name)
    if path is None:
        raise UsageError("there is no session yet", "begin one: hermes chat")
    saved = read_session(path)
    for problem in saved.notices:
        notice(problem)
    led = saved.settings
    if settings.preset is not None and led.preset not in (None, settings.preset):
        led = SessionSettings(led.model)  # the sampling was that of the preset before
    settings = where_open(settings, led.model, led.sampling, led.max_tokens)
    if settings.system_prompt is None and settings.preset is None:
        settings = replace(settings, system_prompt=saved.conversation.system_prompt, preset=saved.settings.preset)
        if preset := saved_preset(saved):
            settings = with_offer(settings, preset)
    return replace(with_defaults(settings), saved=saved)


def _session(
    load: Callable[[], Backend], spec: ModelSpec, settings: ChatSettings, cancel: CancelToken | None = None
) -> Session:
    """The session: a new one, or what was saved with what the options change. The model is loaded last but one."""
    saved = settings.saved
    # The demo model is only kept where it was asked for: a real one may come.
    name = settings.model or (None if spec.name == DEMO_NAME else spec.name)
    led = SessionSettings(name and lasting_name(name), settings.preset, settings.sampling, settings.max_tokens)
    conversation = replace(saved.conversation if saved else Conversation(), system_prompt=settings.system_prompt)
    with ExitStack() as undo:
        tools = load_tools(settings.tools, cancel) if settings.tools.sources else None
        if tools:
            undo.callback(tools.toolbox.close)
        if settings.constrained and (tools or settings.schema is not None):
            _tell_not_held(settings.schema, tools.toolbox.schemas if tools else (), cancel)
        backend = load()
        undo.callback(backend.close)
        session = Session(
            backend,
            conversation,
            tools=tools,
            schema=settings.schema,
            most_repairs=settings.most_repairs,
            constrained=settings.constrained,
            settings=led,
            stop=settings.stop,
            transcript=_transcript(settings, led),
            last_turn_id=saved.last_turn_id if saved else 0,
        )
        undo.pop_all()
    lasting = replace(led, sampling=replace(led.sampling, seed=None))
    if saved and (saved.settings, saved.conversation.system_prompt) != (lasting, settings.system_prompt):
        session.change_settings(led)
    return session


def load_tools(wanted: ToolSettings, cancel: CancelToken | None = None) -> ToolUse:
    """The tools, with the user to be asked before they run. Raises UsageError."""
    from hermes_cli.terminal.consent import tool_use

    return tool_use(
        wanted.sources,
        wanted.variables,
        policy=wanted.policy,
        choice=wanted.choice,
        most_rounds=wanted.most_rounds,
        cancel=cancel,
    )


def _tell_not_held(schema: Schema | None, tools: tuple[ToolSchema, ...], cancel: CancelToken | None) -> None:
    """Say what of the schemas is only checked afterwards. Raises UsageError for what cannot be used, LoadCancelled."""
    from hermes_cli.engine.constraint.grammar import plan

    try:
        planned = plan(GenerationRequest((), tools=tools, schema=schema), lambda: not (cancel and cancel.cancelled))
    except UsageError as problem:
        if cancel and cancel.cancelled:
            raise LoadCancelled("loading was stopped", "run the command again") from problem
        raise
    for note in planned.notes if planned else ():
        notice(note)


def _transcript(settings: ChatSettings, led: SessionSettings) -> Transcript | None:
    """The file to write to; a copy of a session that another program is writing."""
    if not settings.save:
        return None
    if settings.saved is None:
        return Transcript.new(led, settings.system_prompt)
    return open_transcript(settings.saved)


def written_prompt(text: str, settings: ChatSettings) -> "Prompt":
    """What the model would read, made with its vocabulary alone."""
    from hermes_cli.engine.llama.model import Model
    from hermes_cli.engine.prompt import PromptWriter
    from hermes_cli.machine import probe

    settings = resumed(settings)
    probe.verdict()
    model = Model(_chosen_model(settings).path, vocab_only=True)
    try:
        said = settings.saved.conversation if settings.saved else Conversation()
        conversation = replace(said, system_prompt=settings.system_prompt)
        tools = load_tools(settings.tools) if settings.tools.sources else None
        schemas = tools.toolbox.schemas if tools else ()
        if tools:
            tools.toolbox.close()
        messages = (*as_read(conversation, schemas, settings.schema).messages, Message("user", text))
        writer = PromptWriter(model, settings.load.template)
        tell_control_text(writer.control_text(messages))
        return writer.write(messages)
    finally:
        model.close()


def _chosen_model(settings: ChatSettings) -> ModelSpec:
    """The model to use; says so when it is only the demo model and nobody asked for that."""
    try:
        spec = find_model(settings.model)
    except ModelNotFound as problem:
        if settings.model and settings.model == settings.defaults.model:
            problem.message += f" (in {settings.defaults.origin('model')})"
        elif settings.saved and settings.model == settings.saved.settings.model:
            problem.message += f" (in the session {settings.saved.id})"
            problem.hint = "go on with another: -m NAME; see what is here: hermes models"
        raise
    if spec.name == DEMO_NAME and settings.model is None:
        notice("no Hermes 3 model here; answering with the 8 MB demo model. Get the real one: hermes pull")
    return spec
