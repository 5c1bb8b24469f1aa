"""A model on a server that speaks OpenAI's API."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from hermes_cli.backend import Backend
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.load_options import NO_ADAPTER
from hermes_cli.errors import UsageError
from hermes_cli.remote.address import Address, api_key, parse_address
from hermes_cli.remote.families import Mode
from hermes_cli.session.choices import Choices
from hermes_cli.session.target.target import WrittenPrompt
from hermes_cli.store.settings.endpoints import Endpoint

AUTO = "auto"


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
    file = None

    @property
    def name(self) -> str:
        """The model's name, or the server's until it is known."""
        return self.model or str(self.address)

    def saved(self, choices: Choices) -> Choices:
        """See `Target`."""
        return choices

    def constraint_notes(self, choices: Choices, tools: Sequence[ToolSchema]) -> tuple[str, ...]:
        """See `Target`; the server decides what it enforces."""
        return ()

    def written(self, messages: tuple[Message, ...]) -> WrittenPrompt:
        """See `Target`; the server is asked."""
        with closing(self.open(CancelToken(), lambda _: None)) as backend:
            return WrittenPrompt(
                backend.prompt_text(messages), backend.count_tokens(messages), backend.control_text(messages)
            )

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


def find_remote(
    name: str, model: str | None, choices: Choices, endpoints: Mapping[str, Endpoint], *, chosen_by_user: bool
) -> RemoteTarget | None:
    """The server with that address or configured name; for `auto` the running one, None if it lacks the model.

    Raises UsageError.
    """
    if name == AUTO:
        from hermes_cli.remote.running import running_server

        running = running_server()
        if running is None or (model is not None and model != running.model):
            return None
        address = parse_address(running.url)
        key = api_key(address, file=running.key_file) if running.key_file else None
        return _target(choices, address, running.model, key, None)
    if known := endpoints.get(name):
        address = parse_address(known.url)
        key = api_key(address, known.api_key_env, known.api_key_file)
        return _target(choices, address, model or known.model, key, known.mode)
    address = parse_address(name)
    return _target(choices, address, model, api_key(address, chosen_by_user=chosen_by_user), None)


def _target(choices: Choices, address: Address, model: str | None, key: str | None, mode: str | None) -> RemoteTarget:
    wanted = choices.endpoint_mode if choices.endpoint_mode not in (None, "auto") else mode
    if wanted not in (None, "raw", "chat"):
        raise UsageError(f"--endpoint-mode {wanted} is not a mode", "give auto, raw or chat")
    load = choices.load
    if load.lora and set(load.lora) != {NO_ADAPTER}:
        raise UsageError(
            "LoRA adapters cannot be used with an endpoint: its server loads them",
            "omit --lora, or add --lora none; vLLM serves each adapter as a model of its own: -m NAME",
        )
    return RemoteTarget(address, model, key, wanted, load.context_length, choices.extra_body, load.context_origin)  # type: ignore[arg-type]
