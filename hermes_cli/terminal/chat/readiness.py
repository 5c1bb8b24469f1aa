"""Waiting before an answer: for the model, which loads in the background, and for MCP servers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.errors import LoadCancelled
from hermes_cli.session.choices import Layers
from hermes_cli.session.session import Session
from hermes_cli.session.tool_loading import ToolLoader
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import print_loaded, print_tool_cost
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.prompt.keyboard import quiet_keyboard

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools

_Work = Callable[[CancelToken, console.StatusLine], None]


class Readiness:
    """A chat's session and backend, made ready for an answer.

    `leaving` is the exit code once the chat should end, `draft` the text of the next prompt.
    """

    def __init__(
        self,
        session: Session,
        backend: BackgroundBackend,
        layers: Layers,
        tools: ToolLoader,
        *,
        interactive: bool,
        verbose: bool,
    ) -> None:
        self.session = session
        self.backend = backend
        self.layers = layers
        self.interactive = interactive
        self.draft = ""
        self.leaving: int | None = None
        self._tools, self._verbose = tools, verbose
        self._printed_loaded = False
        self._tool_cost_due = True

    def ready(self, draft: str = "") -> bool:
        """Wait for the MCP servers and the model. Stopped by the user, it restores `draft` and returns False."""

        def load(cancel: CancelToken, status: console.StatusLine) -> None:
            self.backend.wait(
                cancel,
                lambda fraction: status.show("stopping" if cancel.cancelled else f"loading model {fraction:.0%}"),
            )

        if not self.use_present_tools(draft):
            return False
        if not self._waited(load, draft, "loading stopped; the next message loads the model again"):
            return False
        self._print_loaded()
        self.print_tool_cost()
        return True

    def use_present_tools(self, draft: str = "") -> bool:
        """Start the chosen MCP servers, and use what their tools are by now; False as in `ready`. Raises UsageError."""
        before = self.session.tools
        if before is None:
            return True

        def start(cancel: CancelToken, status: console.StatusLine) -> None:
            if before.servers_wait:
                status.show("starting MCP servers")
            now = self.session.tools = self._tools.present(before, self.layers.now, cancel)
            if now is not before:
                self._tool_cost_due = True
                status.erase()
                console.notice(*now.notes)

        return self._waited(start, draft, "the MCP servers are not started; the next message starts them")

    @property
    def servers(self) -> "McpTools | None":
        """The MCP servers that run."""
        return self.session.tools.servers if self.session.tools else None

    def print_tool_cost(self) -> None:
        """Print once, when the model is there, how much of the context the tools of MCP servers take."""
        if self._tool_cost_due and self.backend.ready:
            self._tool_cost_due = False
            print_tool_cost(self.session)

    def _waited(self, work: _Work, draft: str, stopped: str) -> bool:
        """Whether `work`, which shows its progress, was done. Stopped by the user, it restores `draft`."""
        cancel, status = CancelToken(), console.StatusLine()
        try:
            with stopping(cancel), quiet_keyboard():
                work(cancel, status)
        except LoadCancelled:
            status.erase()
            self.draft = draft
            self._leave_after(cancel)
            if self.leaving is None:
                console.notice(stopped)
            return False
        finally:
            status.erase()
        return True

    def _print_loaded(self) -> None:
        """Print once how the model was loaded: above the prompt, or before the answer."""
        if not self._printed_loaded:
            self._printed_loaded = True
            print_loaded(self.backend.info, verbose=self._verbose, in_chat=self.interactive)

    def _leave_after(self, cancel: CancelToken) -> None:
        """End the chat after a signal; Ctrl-C on a terminal only stops the answer."""
        if cancel.reason and (cancel.reason != "interrupt" or not self.interactive):
            self.leaving = EXIT_CODES[cancel.reason]
