"""`hermes chat`: an interactive chat."""

from contextlib import closing
from typing import TYPE_CHECKING

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.prompt_text import wrapped
from hermes_cli.errors import LoadCancelled
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.cli.opening import ChatSettings


def chat(settings: "ChatSettings") -> int:
    """Chat: a line in, an answer out. Ctrl-C stops the answer and keeps what came; Ctrl-D leaves.

    With lines piped in, each line is a turn. Files given with -f go into the first message.
    """
    from hermes_cli.cli.opening import open_session
    from hermes_cli.terminal import repl

    attached = "\n\n".join(wrapped(path) for path in settings.files)
    loading = CancelToken()
    try:
        with stopping(loading, leave=lambda: None):
            session = open_session(settings, loading)
    except LoadCancelled:
        return EXIT_CODES[loading.reason or "interrupt"]
    with closing(session):
        return EXIT_CODES[loading.reason] if loading.reason else repl.run(session, attached)
