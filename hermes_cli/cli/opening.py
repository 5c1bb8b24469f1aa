"""Opening a session for a command: progress is shown, notes are printed, and the user is asked about tools."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hermes_cli.chat.request import CancelToken
from hermes_cli.session import opening
from hermes_cli.session.opening import Prepared, Start
from hermes_cli.session.session import Session
from hermes_cli.session.target.target import Target
from hermes_cli.terminal.answer.turn_view import print_loaded, print_tool_cost
from hermes_cli.terminal.console import StatusLine, notice

if TYPE_CHECKING:
    from hermes_cli.backend import Backend
    from hermes_cli.cli.options.given import Given
    from hermes_cli.session.tool_loading import Consent
    from hermes_cli.terminal.chat.chat import Chat
    from hermes_cli.tools.approval import Policy
    from hermes_cli.tools.tool import Tool


def _consent(tools: "Mapping[str, Tool]", policy: "Policy") -> "Consent":
    """Asks at the terminal; imported where there are tools."""
    from hermes_cli.terminal.consent import Consent

    return Consent(tools, policy)


def prepare(start: Start, cancel: CancelToken | None = None, *, servers_later: bool = False) -> Prepared:
    """`opening.prepare`, its notes printed. Raises HermesError, LoadCancelled."""
    status = StatusLine()
    if start.choices.tools or start.choices.mcp:
        status.show("loading tools")
    try:
        prepared = opening.prepare(start, _consent, cancel, servers_later=servers_later)
    finally:
        status.erase()
    notice(*prepared.notes)
    return prepared


def open_session(start: Start, cancel: CancelToken, *, verbose: bool = False) -> Session:
    """A session on an open model, which the caller closes. Raises HermesError, LoadCancelled."""
    prepared = prepare(start, cancel)
    status = StatusLine()

    def load() -> "Backend":
        def show(part: float) -> None:
            status.show(f"loading {prepared.target.name} {part:.0%}")

        try:
            backend = prepared.open(cancel, show)
        finally:
            status.erase()
        print_loaded(backend.info, verbose=verbose)
        return backend

    opened = opening.open_session(prepared, load)
    notice(*opened.notes)
    print_tool_cost(opened.session)
    return opened.session


def open_chat(given: "Given", *, interactive: bool) -> "Chat":
    """A chat whose model loads in the background; the caller closes its session. Raises HermesError.

    MCP servers start with the first message.
    """
    from hermes_cli.engine.background import BackgroundBackend
    from hermes_cli.session.tool_loading import ToolLoader
    from hermes_cli.terminal.attachments.sources import attachments_at
    from hermes_cli.terminal.chat.chat import Chat
    from hermes_cli.terminal.stdin import read_stdin

    def in_background(target: Target) -> BackgroundBackend:
        return BackgroundBackend(target.name, target.open)

    prepared = prepare(opening.begin(given.layers, given.resume), servers_later=True)
    attached = attachments_at(given.files, read_stdin)
    backend = BackgroundBackend(prepared.target.name, prepared.open)
    opened = opening.open_session(prepared, lambda: backend)
    notice(*opened.notes)
    chat = Chat(
        opened.session,
        backend,
        opened.layers,
        open_model=lambda name: in_background(opening.other_target(prepared, name)),
        tools=ToolLoader(_consent, prepared.layers.mcp_servers),
        constraint_notes=lambda choices, tools: opening.constraint_notes(prepared.target, choices, tools),
        interactive=interactive,
        verbose=given.verbose,
    )
    if attached and interactive:
        chat.attach(attached)
    chat.attached = tuple(attached)
    if prepared.saved:
        chat.offer_unanswered(prepared.saved)
    return chat
