"""`hermes chat`: an interactive chat."""

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from hermes_cli import paths
from hermes_cli.terminal import console

if TYPE_CHECKING:
    from hermes_cli.session.choices import ChatSettings


def chat(settings: "ChatSettings") -> int:
    """Chat: a message in, an answer out. Ctrl-C stops the answer and keeps what came; Ctrl-D leaves; /help tells more.

    With lines piped in, each line is a turn. Files given with -f go into the first message.
    """
    from hermes_cli.terminal.prompt.open import open_prompt

    interactive = console.is_terminal(sys.stdin)
    if settings.model is None and settings.resume is None:
        from hermes_cli.cli.first_run import offer_model

        offer_model()
    prompt = open_prompt(
        complete=lambda before: slash_commands.suggestions(running, before),
        status=lambda: running.status(),
        history_file=paths.history_file() if settings.defaults.history and settings.save else None,
        vi_mode=settings.defaults.vi_mode,
        # The model loads behind the prompt: the imports of both would share one core.
        shown=lambda: running.backend.start(),
    )
    from hermes_cli.cli.opening import open_chat
    from hermes_cli.terminal.chat import repl, slash_commands

    running = open_chat(settings, interactive=interactive)
    with closing(running.session):
        return repl.run(running, prompt)
