"""`hermes chat`: an interactive chat."""

import sys
from contextlib import closing
from typing import Annotated

import typer

from hermes_cli import paths
from hermes_cli.cli.options.answering import AnsweringCommand
from hermes_cli.cli.options.given import given as given_options
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console

EXAMPLES = """\b
Examples:
  hermes chat -m hermes-3-8b
  hermes chat -p coder -f main.py
  hermes chat --continue
"""
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=AnsweringCommand, epilog=EXAMPLES)
def chat(
    context: typer.Context,
    message: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE...]", help="Send this as the first message.")
    ] = None,
) -> int:
    """Chat with the model. Type a message and press Enter; /help lists the commands of a chat.

    Ctrl-C stops an answer and keeps its text; Ctrl-D exits. With piped input, each line is a turn, or a block between
    three double quotes. Files given with -f are added to the first message.
    """
    if context.params["continue_last"] and message and message[0].isdecimal():
        hint = f"-c continues the last session; the context length is --ctx {message[0]}"
        raise UsageError(f"unexpected {message[0]} after -c", hint)
    given = given_options(context)
    from hermes_cli.terminal.prompt.open import open_prompt

    if given.layers.model_layer is None and given.layers.now.endpoint is None and given.resume is None:
        from hermes_cli.cli.first_run import ask_to_download

        ask_to_download()
    settings, saving = given.settings, given.layers.now.save
    prompt = open_prompt(
        complete=lambda before: slash_commands.suggestions(running, before),
        status=lambda: running.status(),
        history_file=paths.history_file() if settings.history and saving else None,
        vi_mode=settings.vi_mode,
        # The model loads behind the prompt: the imports of both would share one core.
        shown=lambda: running.backend.start(),
    )
    from hermes_cli.cli.opening import open_chat
    from hermes_cli.terminal.chat import repl, slash_commands

    running = open_chat(given, interactive=console.is_terminal(sys.stdin))
    with closing(running.session):
        return repl.run(running, prompt, " ".join(message or ()))
