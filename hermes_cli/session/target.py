"""What answers: a model file on this machine, or a model on a server. Decided once, from the choices."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hermes_cli.backend import Backend
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.errors import UsageError
from hermes_cli.models.adapters import NONE, fitting_adapters
from hermes_cli.models.choose import find_model
from hermes_cli.models.library import DEMO_NAME, FoundModel
from hermes_cli.remote.address import Address, api_key, parse_address
from hermes_cli.remote.families import Mode
from hermes_cli.remote.running import running_server
from hermes_cli.session.choices import Choices
from hermes_cli.store.settings.endpoints import Endpoint

LOCAL, AUTO = "local", "auto"


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A model file, how to open it, and what plans the constraints of its answers."""

    model: FoundModel
    load: LoadOptions
    planner: Planner = field(default_factory=Planner, compare=False)

    @property
    def name(self) -> str:
        """The model's name, as a session saves it."""
        return self.model.name

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo model."""
        return self.model.name == DEMO_NAME

    def open(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> Backend:
        """The model, opened as this machine allows. Raises LoadCancelled, HermesError."""
        # Here and not above: a chat imports the engine on the thread that loads, once its prompt is there.
        from hermes_cli.engine.local import open_backend
        from hermes_cli.machine.load_plan import plan_load

        plan = plan_load(self.model.path, self.load, lambda: not cancel.cancelled)
        return open_backend(
            self.model.path,
            *plan.attempts,
            cancel=cancel,
            on_progress=on_progress,
            notes=plan.notes,
            advice=plan.advice,
            planner=self.planner,
        )


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """A server, and the model to use there; None for the only one."""

    address: Address
    model: str | None
    key: str | None
    mode: Mode | None
    context_length: int | None
    extra_body: Mapping[str, Any] | None
    context_origin: str | None

    is_demo = False

    @property
    def name(self) -> str:
        """The model's name, or the server's until it is known."""
        return self.model or str(self.address)

    def open(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> Backend:
        """The server, connected and probed. Raises LoadCancelled, EndpointError, ModelNotFound, UsageError."""
        from hermes_cli.remote.backend import EndpointOptions, open_remote

        options = EndpointOptions(
            self.address,
            self.model,
            self.key,
            self.mode,
            self.context_length,
            self.extra_body,
            self.context_origin,
        )
        return open_remote(options, cancel)


Target = LocalTarget | RemoteTarget


def find_target(choices: Choices, endpoints: Mapping[str, Endpoint], *, chosen_by_user: bool = True) -> Target:
    """What the choices name; `-m work/MODEL` and `-m work` name a configured endpoint, `-m local/MODEL` a model here.

    `chosen_by_user`: whether the endpoint was given by an option or a setting. Raises UsageError, ModelNotFound.
    """
    name, model = choices.endpoint, choices.model
    if model and (first := model.partition("/")[0]) in {*endpoints, LOCAL} and not os.path.isfile(model):  # noqa: PTH113 - a name is not a path
        name, model = first, model.partition("/")[2] or None
    if name == AUTO:
        running = running_server()
        if running is None or (model is not None and model != running.model):
            return _local(choices, model)
        key = api_key(parse_address(running.url), file=running.key_file) if running.key_file else None
        return _remote(choices, parse_address(running.url), running.model, key, None)
    if name is None or name == LOCAL:
        return _local(choices, model)
    if known := endpoints.get(name):
        address = parse_address(known.url)
        key = api_key(address, known.api_key_env, known.api_key_file)
        return _remote(choices, address, model or known.model, key, known.mode)
    address = parse_address(name)
    return _remote(choices, address, model, api_key(address, chosen_by_user=chosen_by_user), None)


def in_background(target: Target) -> BackgroundBackend:
    """The target, opened on a thread of its own after `start`."""
    return BackgroundBackend(target.name, target.open)


def _local(choices: Choices, model: str | None) -> LocalTarget:
    return local_target(choices, find_model(model))


def local_target(choices: Choices, model: FoundModel) -> LocalTarget:
    """A model file and how the choices say to open it. Raises UsageError, ModelNotFound."""
    adapters = fitting_adapters(choices.load.lora or (), model)
    return LocalTarget(model, replace(choices.load_options(), adapters=adapters))


def _remote(choices: Choices, address: Address, model: str | None, key: str | None, mode: str | None) -> RemoteTarget:
    wanted = choices.endpoint_mode if choices.endpoint_mode not in (None, "auto") else mode
    if wanted not in (None, "raw", "chat"):
        raise UsageError(f"--endpoint-mode {wanted} is not a mode", "give auto, raw or chat")
    load = choices.load
    if set(load.lora or ()) - {NONE}:
        raise UsageError(
            "LoRA adapters cannot be used with an endpoint: its server loads them",
            "omit --lora, or add --lora none; vLLM serves each adapter as a model of its own: -m NAME",
        )
    return RemoteTarget(address, model, key, wanted, load.context_length, choices.extra_body, load.context_origin)  # type: ignore[arg-type]
