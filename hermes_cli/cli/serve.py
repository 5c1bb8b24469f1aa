"""`hermes serve`: an OpenAI-compatible API on this machine."""

import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.help.page import GroupedCommand
from hermes_cli.cli.options import options
from hermes_cli.errors import UsageError
from hermes_cli.files import make_private_folder, replace_whole
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal.units import seconds_from

if TYPE_CHECKING:
    from hermes_cli.engine.load_options import LoadOptions
    from hermes_cli.engine.local import LocalBackend
    from hermes_cli.models.model import FoundModel

EXAMPLES = """\b
Examples:
  hermes serve
  hermes serve -m hermes-3-8b --port 8080 --idle-unload 10m
  hermes serve --uds /tmp/hermes.sock
"""

SERVER = "Server"
_SCORED_TOKENS = 32  # logits kept at once while a prompt is scored
_PARKED_CONVERSATIONS = 3
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=GroupedCommand, epilog=EXAMPLES)
def serve(
    model: options.Model = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="HOST",
            rich_help_panel=SERVER,
            help="Listen on this address; any other than localhost requires an API key.",
        ),
    ] = "localhost",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            callback=options.within("--port", 0, 65535),
            rich_help_panel=SERVER,
            help="Listen on this port; 0 picks a free one.",
        ),
    ] = 8080,
    uds: Annotated[
        Path | None,
        typer.Option(
            "--uds", metavar="PATH", rich_help_panel=SERVER, help="Listen on a Unix socket that only you can use."
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            rich_help_panel=SERVER,
            help="Require one of the keys in FILE, one per line.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            rich_help_panel=SERVER,
            help="Allow requests from web pages of this origin (repeatable).",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            rich_help_panel=SERVER,
            help="Accept this host name in requests (repeatable).",
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            "--alias", metavar="NAME", rich_help_panel=SERVER, help="Also serve the model under this name (repeatable)."
        ),
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", rich_help_panel=SERVER, help="Accept every model name in requests.")
    ] = False,
    idle_unload: Annotated[
        str | None,
        typer.Option(
            "--idle-unload",
            metavar="TIME",
            rich_help_panel=SERVER,
            help="Unload the model after TIME without requests, e.g. 10m.",
        ),
    ] = None,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.CacheType = None,
    threads: options.Threads = None,
    speculate: options.Speculate = None,
    template: options.Template = None,
    lora: options.Lora = None,
) -> int:
    """Serve a model through an OpenAI-compatible API.

    Generates one answer at a time; other requests wait in a queue. For many concurrent users, use vLLM.
    """
    idle_s = seconds_from("--idle-unload", idle_unload) if idle_unload else None
    loopback = uds is not None or host in ("localhost", "127.0.0.1", "::1")
    keys, key_file = _keys(api_key_file, needed=not loopback)
    if "*" in (allow_origin or ()) and not keys:
        raise UsageError("--allow-origin '*' needs a key", "add --api-key-file FILE")
    from hermes_cli.session.choices import Choices, Loading
    from hermes_cli.session.sources import from_settings, with_model_defaults
    from hermes_cli.session.target.local import find_local

    adapters = tuple(lora or ()) or None
    loading = Loading(ctx, gpu_layers, kv_type, threads, template, speculate=speculate, lora=adapters)
    flags = Choices(model=model, load=loading, save=False, endpoint="local")
    layers = with_model_defaults(replace(from_settings(load_settings()), flags=flags))
    target = find_local(layers.now.model, layers.now, layers.models)
    spec, load = target.model, target.load

    from hermes_cli.remote.running import announced
    from hermes_cli.server.app import Api, make_app
    from hermes_cli.server.guard import LOOPBACK, Policy
    from hermes_cli.server.host import ModelHost
    from hermes_cli.server.run import crash_reported, listening, serve

    names = LOOPBACK if loopback else LOOPBACK | {host}
    policy = Policy(
        keys, names | set(allow_host or ()), frozenset(allow_origin or ()), any_host=host in ("0.0.0.0", "::")
    )
    served = ModelHost(lambda cancel: _load(spec, load, cancel), idle_s)
    api = Api(served, spec.name, tuple(alias or ()), any_model)
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
    with listening(hosts, port, uds) as sockets, crash_reported():
        served.backend = _load(spec, load, CancelToken())
        url = f"unix:{uds.resolve()}" if uds else f"http://{host}:{sockets[0].getsockname()[1]}"
        print(f"serving {spec.name} on {url} ({served.backend.info.placement})", file=sys.stderr, flush=True)
        if key_file:
            print(f"requests need the key in {key_file}", file=sys.stderr, flush=True)
        with announced(url, spec.name, key_file):
            serve(make_app(api, served, policy), served, sockets)
    return 0


def _load(spec: "FoundModel", load: "LoadOptions", cancel: CancelToken) -> "LocalBackend":
    """The model, opened as this machine allows. Raises HermesError."""
    from hermes_cli.engine.local import open_backend
    from hermes_cli.machine.load_plan import plan_load

    plan = plan_load(spec.path, load, lambda: not cancel.cancelled)
    attempts = (
        replace(settings, scored_tokens=_SCORED_TOKENS, parked_states=_PARKED_CONVERSATIONS)
        for settings in plan.attempts
    )
    return open_backend(spec.path, *attempts, cancel=cancel, notes=plan.notes)


def _keys(file: Path | None, *, needed: bool) -> tuple[tuple[str, ...], Path | None]:
    """The keys in a file; where one is needed and none is given, a new one that only the user can read."""
    if file is None:
        if not needed:
            return (), None
        made = paths.data_folder() / "serve-key"
        if not made.exists():
            make_private_folder(made.parent)
            replace_whole(made, f"{secrets.token_urlsafe(32)}\n")
        file = made
    from hermes_cli.remote.address import read_keys

    return read_keys(file), file
