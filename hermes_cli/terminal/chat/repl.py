"""The loop of a chat: reads a message or a command, and shows the answer."""

from hermes_cli.errors import EXIT_INTERRUPTED, HermesError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat import slash_commands
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.recap import greet, say_goodbye
from hermes_cli.terminal.prompt.keyboard import forget_typed
from hermes_cli.terminal.prompt.prompt_input import PromptInput

# What hints name on the command line, and in a chat.
_IN_A_CHAT = {"hermes sessions list": "/sessions", "hermes presets list": "/preset and Tab"}


def run(chat: Chat, prompt: PromptInput) -> int:
    """Chat until the input ends; returns the exit code.

    On a terminal an error ends only its turn and Ctrl-C only the answer; with piped input both end the chat. A model
    that cannot be loaded always ends it.
    """
    if chat.interactive:
        greet(chat)
    else:
        chat.ready()
    chat.watch_loading(prompt)
    while chat.leaving is None:
        try:
            draft, chat.draft = chat.draft, ""
            line = prompt.read(draft)
            if line is None:
                chat.leaving = 0
            elif line.strip():
                _run_line(chat, line)
        except KeyboardInterrupt:
            if not chat.interactive:
                return EXIT_INTERRUPTED
        except HermesError as problem:
            if not chat.interactive or chat.backend.failure is not None:
                raise
            console.error(problem)
    if chat.interactive:
        forget_typed()
        say_goodbye(chat)
    return chat.leaving


def _run_line(chat: Chat, line: str) -> None:
    """Send a message or run a command."""
    parsed = slash_commands.parse(line)
    if isinstance(parsed, str):
        chat.say(parsed)
    else:
        command, argument = parsed
        try:
            command.run(chat, argument)
        except HermesError as problem:
            for elsewhere, here in _IN_A_CHAT.items():
                problem.hint = problem.hint.replace(elsewhere, here)
            raise
