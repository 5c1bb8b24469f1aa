"""From options to a session that can be asked: the model found and loaded, with what the user should know said."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.chat_settings import LAST_SESSION, ChatSettings, ToolSettings, where_open, with_defaults
from hermes_cli.engine.backend import Backend
from hermes_cli.engine.background_backend import BackgroundBackend
from hermes_cli.errors import ModelNotFound, UsageError
from hermes_cli.models.find import DEMO_NAME, ModelSpec, find_model
from hermes_cli.session import Session, as_read
from hermes_cli.store.saved_session import SavedSession, read_session
from hermes_cli.store.session_files import find_session, latest_session
from hermes_cli.store.transcript_format import SessionSettings
from hermes_cli.store.transcripts import Transcript
from hermes_cli.terminal.chat import Chat, open_transcript
from hermes_cli.terminal.console import StatusLine, notice
from hermes_cli.terminal.text_file import wrapped
from hermes_cli.terminal.turn_view import tell_control_text, tell_loaded
from hermes_cli.turn_loop import ToolUse

if TYPE_CHECKING:
    from hermes_cli.engine.prompt import Prompt


def open_session(settings: ChatSettings, cancel: CancelToken) -> Session:
    """A session on the model the settings ask for; closing it is the caller's. Raises LoadCancelled."""
    from hermes_cli.engine.local_backend import open_backend

    settings, saved = resumed(settings)
    spec = _chosen_model(settings)

    def load() -> Backend:
        status = StatusLine()
        try:
            backend = open_backend(
                spec.path,
                settings.load,
                cancel=cancel,
                on_progress=lambda fraction: status.show(f"loading {spec.name} {fraction:.0%}"),
            )
        finally:
            status.erase()
        tell_loaded(backend.info, verbose=settings.verbose)
        return backend

    return _session(load, spec, settings, saved)


def open_chat(settings: ChatSettings, *, interactive: bool) -> Chat:
    """A chat whose model loads in the background; closing its session is the caller's."""
    settings, saved = resumed(settings)

    def find(name: str | None) -> Callable[[], BackgroundBackend]:
        return in_background(_chosen_model(replace(settings, model=name)))

    def in_background(spec: ModelSpec) -> Callable[[], BackgroundBackend]:
        def load(cancel: CancelToken, progress: Callable[[float], None]) -> Backend:
            from hermes_cli.engine.local_backend import open_backend  # on its thread, once the prompt is there

            return open_backend(spec.path, settings.load, cancel=cancel, on_progress=progress)

        return lambda: BackgroundBackend(spec.name, load)

    attached = tuple(wrapped(path) for path in settings.files)
    spec = _chosen_model(settings)
    session = _session(in_background(spec), spec, settings, saved)
    assert isinstance(session.backend, BackgroundBackend)
    return Chat(
        session,
        session.backend,
        find,
        interactive=interactive,
        saving=settings.save,
        attached=attached,
        verbose=settings.verbose,
        tool_policy=settings.tools.policy,
    )


def resumed(settings: ChatSettings) -> tuple[ChatSettings, SavedSession | None]:
    """The saved session to go on with, and the settings with its own where the options leave something open."""
    if settings.resume is None:
        return settings, None
    path = latest_session() if settings.resume == LAST_SESSION else find_session(settings.resume)
    if path is None:
        raise UsageError("there is no session yet", "begin one: hermes chat")
    saved = read_session(path)
    for problem in saved.notices:
        notice(problem)
    led = saved.settings
    settings = where_open(settings, led.model, led.sampling, led.max_tokens)
    if settings.system_prompt is None and settings.preset is None:
        settings = replace(settings, system_prompt=saved.conversation.system_prompt, preset=saved.settings.preset)
    return with_defaults(settings), saved


def _session(
    load: Callable[[], Backend], spec: ModelSpec, settings: ChatSettings, saved: SavedSession | None
) -> Session:
    """The session: a new one, or what was saved with what the options change. The model is loaded last but one."""
    _tell_not_held(settings)
    # The demo model is only kept where it was asked for: a real one may come.
    name = settings.model or (None if spec.name == DEMO_NAME else spec.name)
    led = SessionSettings(_lasting(name), settings.preset, settings.sampling, settings.max_tokens)
    conversation = replace(saved.conversation if saved else Conversation(), system_prompt=settings.system_prompt)
    with ExitStack() as undo:
        tools = _tools(settings.tools)
        if tools:
            undo.callback(tools.toolbox.close)
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
            transcript=_transcript(settings, saved, led),
            last_turn_id=saved.last_turn_id if saved else 0,
        )
        undo.pop_all()
    lasting = replace(led, sampling=replace(led.sampling, seed=None))
    if saved and (saved.settings, saved.conversation.system_prompt) != (lasting, settings.system_prompt):
        session.change_settings(led)
    return session


def _tools(wanted: ToolSettings) -> ToolUse | None:
    if not wanted.sources:
        return None
    from hermes_cli.terminal.consent import tool_use

    return tool_use(wanted.sources, policy=wanted.policy, choice=wanted.choice, most_rounds=wanted.most_rounds)


def _tell_not_held(settings: ChatSettings) -> None:
    """Say what of a schema is only checked afterwards. Raises UsageError for one that cannot be used."""
    if settings.schema is None or not settings.constrained:
        return
    from hermes_cli.engine.constraint_grammar import check_schema

    for note in check_schema(settings.schema):
        notice(note)


def _transcript(settings: ChatSettings, saved: SavedSession | None, led: SessionSettings) -> Transcript | None:
    """The file to write to; a copy of a session that another program is writing."""
    if not settings.save:
        return None
    if saved is None:
        return Transcript.new(led, settings.system_prompt)
    return open_transcript(saved)


def _lasting(model: str | None) -> str | None:
    """A model's name, or its path so that it is found from any folder."""
    path = os.path.expanduser(model or "")  # noqa: PTH111 - pathlib raises for unknown users
    return os.path.realpath(path) if os.path.isfile(path) else model  # noqa: PTH113 - nor for long names


def written_prompt(text: str, settings: ChatSettings) -> "Prompt":
    """What the model would read, made with its vocabulary alone."""
    from hermes_cli.engine import probe
    from hermes_cli.engine.native_model import Model
    from hermes_cli.engine.prompt import PromptWriter

    settings, saved = resumed(settings)
    probe.verdict()
    model = Model(_chosen_model(settings).path, vocab_only=True)
    try:
        conversation = replace(saved.conversation if saved else Conversation(), system_prompt=settings.system_prompt)
        tools = _tools(settings.tools)
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
        raise
    if spec.name == DEMO_NAME and settings.model is None:
        notice("no Hermes 3 model here; answering with the 8 MB demo model. Get the real one: hermes pull")
    return spec
