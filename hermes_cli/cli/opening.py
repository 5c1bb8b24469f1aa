"""From options to a session that can be asked: the model found and loaded, with what the user should know said."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, Sampling
from hermes_cli.engine import probe
from hermes_cli.engine.backend import Backend
from hermes_cli.engine.background_backend import BackgroundBackend
from hermes_cli.engine.local_backend import LoadOptions, open_backend
from hermes_cli.engine.native_model import Model
from hermes_cli.engine.prompt import Prompt, PromptWriter
from hermes_cli.errors import ModelNotFound, UsageError
from hermes_cli.models.find import DEMO_NAME, ModelSpec, find_model
from hermes_cli.session import Session
from hermes_cli.store.saved_session import SavedSession, read_session
from hermes_cli.store.session_files import find_session, latest_session
from hermes_cli.store.settings import Settings
from hermes_cli.store.transcript_format import SessionSettings
from hermes_cli.store.transcripts import Transcript
from hermes_cli.terminal.chat import Chat, open_transcript
from hermes_cli.terminal.console import StatusLine, notice
from hermes_cli.terminal.text_file import wrapped
from hermes_cli.terminal.turn_view import tell_control_text

LAST_SESSION = ""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What `ask` and `chat` were told, decided before anything is loaded."""

    model: str | None = None
    system_prompt: str | None = None
    files: tuple[Path, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    load: LoadOptions = field(default_factory=LoadOptions)
    verbose: bool = False
    preset: str | None = None
    resume: str | None = None  # the session to go on with: LAST_SESSION, an id, a name or a path
    save: bool = True
    defaults: Settings = field(default_factory=Settings)


def where_open(
    settings: ChatSettings,
    model: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    max_tokens: int | None = None,
) -> ChatSettings:
    """The settings with these values where they leave something open."""
    given = {key: value for key, value in asdict(settings.sampling).items() if value is not None}
    return replace(
        settings,
        model=settings.model or model,
        sampling=replace(sampling, **given),
        max_tokens=settings.max_tokens or max_tokens,
    )


def with_defaults(settings: ChatSettings) -> ChatSettings:
    """The settings with the user's own defaults where flags, preset and resumed session leave something open."""
    own = settings.defaults
    sampling = Sampling(own.temperature, own.top_k, own.top_p, own.min_p, own.repeat_penalty)
    return where_open(settings, own.model, sampling, own.max_tokens)


def with_preset(settings: ChatSettings, name: str | None, values: Mapping[str, str]) -> ChatSettings:
    """The settings with a preset's where they leave something open. Raises UsageError."""
    if values and (name is None or settings.system_prompt is not None):
        raise UsageError("--var has no preset's prompt to fill", "name the preset with --preset, without --system")
    if name is None:
        return settings
    from hermes_cli.store.presets import fill, find_preset

    preset = find_preset(name)
    prompt = fill(preset, values) if settings.system_prompt is None else settings.system_prompt
    named = replace(settings, preset=name, system_prompt=prompt)
    return where_open(named, preset.model, preset.sampling, preset.max_tokens)


def open_session(settings: ChatSettings, cancel: CancelToken) -> Session:
    """A session on the model the settings ask for; closing it is the caller's. Raises LoadCancelled."""
    settings, saved = resumed(settings)
    spec = _chosen_model(settings)
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
    info = backend.info
    for note in info.notes:
        notice(note)
    if settings.verbose:
        notice(f"{info.model_name} · {info.description} · ctx {info.context_length:,} · loaded in {info.load_s:.2f} s")
    return _session(backend, settings, saved)


def open_chat(settings: ChatSettings, *, interactive: bool) -> Chat:
    """A chat whose model loads in the background; closing its session is the caller's."""
    settings, saved = resumed(settings)

    def open_model(name: str | None) -> BackgroundBackend:
        spec = _chosen_model(replace(settings, model=name))
        return BackgroundBackend(
            spec.name,
            lambda cancel, progress: open_backend(spec.path, settings.load, cancel=cancel, on_progress=progress),
        )

    attached = tuple(wrapped(path) for path in settings.files)
    backend = open_model(settings.model)
    session = _session(backend, settings, saved)
    return Chat(session, backend, open_model, interactive=interactive, saving=settings.save, attached=attached)


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
    settings = where_open(settings, saved.settings.model, saved.settings.sampling)
    if settings.system_prompt is None and settings.preset is None:
        settings = replace(settings, system_prompt=saved.conversation.system_prompt, preset=saved.settings.preset)
    return with_defaults(settings), saved


def _session(backend: Backend, settings: ChatSettings, saved: SavedSession | None) -> Session:
    """The session: a new one, or what was saved with what the options change."""
    led = SessionSettings(_lasting(settings.model), settings.preset, settings.sampling)
    conversation = replace(saved.conversation if saved else Conversation(), system_prompt=settings.system_prompt)
    session = Session(
        backend,
        conversation,
        settings=led,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        transcript=_transcript(settings, saved, led),
        last_turn_id=saved.last_turn_id if saved else 0,
    )
    if saved and (saved.settings, saved.conversation.system_prompt) != (led, settings.system_prompt):
        session.change_settings(led)
    return session


def _transcript(settings: ChatSettings, saved: SavedSession | None, led: SessionSettings) -> Transcript | None:
    """The file to write to; a copy of a session that another program is writing."""
    if not settings.save:
        return None
    if saved is None:
        return Transcript.new(led, settings.system_prompt)
    return open_transcript(saved)


def _lasting(model: str | None) -> str | None:
    """A model's name, or its path so that it is found from any folder."""
    return os.path.realpath(Path(model).expanduser()) if model and Path(model).expanduser().is_file() else model


def written_prompt(text: str, settings: ChatSettings) -> Prompt:
    """What the model would read, made with its vocabulary alone."""
    settings, saved = resumed(settings)
    probe.verdict()
    model = Model(_chosen_model(settings).path, vocab_only=True)
    try:
        conversation = replace(saved.conversation if saved else Conversation(), system_prompt=settings.system_prompt)
        messages = (*conversation.messages, Message("user", text))
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
