"""From options to a session that can be asked: the model found and loaded, with what the user should know said."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, Sampling
from hermes_cli.engine import probe
from hermes_cli.engine.local_backend import LoadOptions, open_backend
from hermes_cli.engine.native_model import Model
from hermes_cli.engine.prompt import Prompt, PromptWriter
from hermes_cli.errors import UsageError
from hermes_cli.models.find import DEMO_NAME, ModelSpec, find_model, wanted_name
from hermes_cli.session import Session, opening_messages
from hermes_cli.terminal.console import StatusLine, notice
from hermes_cli.terminal.turn_view import tell_control_text


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


def with_preset(settings: ChatSettings, name: str | None, values: Mapping[str, str]) -> ChatSettings:
    """The settings with a preset's where they leave something open. Raises UsageError."""
    if values and (name is None or settings.system_prompt is not None):
        raise UsageError("--var has no preset's prompt to fill", "name the preset with --preset, without --system")
    if name is None:
        return settings
    from hermes_cli.store.presets import fill, find_preset

    preset = find_preset(name)
    given = {key: value for key, value in asdict(settings.sampling).items() if value is not None}
    return replace(
        settings,
        model=settings.model or preset.model,
        system_prompt=fill(preset, values) if settings.system_prompt is None else settings.system_prompt,
        sampling=replace(preset.sampling, **given),
        max_tokens=settings.max_tokens or preset.max_tokens,
    )


def open_session(settings: ChatSettings, cancel: CancelToken) -> Session:
    """A session on the model the settings ask for; its backend is the caller's to close. Raises LoadCancelled."""
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
    return Session(
        backend,
        system_prompt=settings.system_prompt,
        sampling=settings.sampling,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )


def written_prompt(text: str, settings: ChatSettings) -> Prompt:
    """What the model would read, made with its vocabulary alone."""
    probe.verdict()
    model = Model(_chosen_model(settings).path, vocab_only=True)
    try:
        messages = (*opening_messages(settings.system_prompt), Message("user", text))
        writer = PromptWriter(model, settings.load.template)
        tell_control_text(writer.control_text(messages))
        return writer.write(messages)
    finally:
        model.close()


def _chosen_model(settings: ChatSettings) -> ModelSpec:
    """The model to use; says so when it is only the demo model and nobody asked for that."""
    spec = find_model(settings.model)
    if spec.name == DEMO_NAME and wanted_name(settings.model) is None:
        notice("no Hermes 3 model here; answering with the 8 MB demo model. Use your own: hermes ask -m FILE.gguf")
    return spec
