"""The loop of a chat: reads a message or a command, and shows the answer."""

from hermes_cli.errors import EXIT_INTERRUPTED, HermesError, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat import slash_commands
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.recap import greet, say_goodbye
from hermes_cli.terminal.prompt.keyboard import forget_typed
from hermes_cli.terminal.prompt.prompt_input import PromptInput

# What hints name on the command line, and in a chat.
_IN_A_CHAT = {
    "hermes sessions list": "/sessions",
    "hermes presets list": "/preset",
    "local models: hermes models": "local models: /model",
}
_WORDS = {"exit": "/exit", "quit": "/exit", "bye": "/exit", ":q": "/exit", "help": "/help", "?": "/help"}
_FILE_OPTION = "-f "


def run(chat: Chat, prompt: PromptInput, message: str = "") -> int:
    """Chat, beginning with `message` if there is one, until the input ends; returns the exit code.

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
            if message:
                text, message = message, ""
                chat.say(text)
                continue
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
    parsed = _meant(chat, line) if chat.interactive else slash_commands.parse(line)
    if isinstance(parsed, str):
        chat.say(parsed)
    elif parsed is not None:
        command, argument = parsed
        try:
            command.run(chat, argument)
        except HermesError as problem:
            for elsewhere, here in _IN_A_CHAT.items():
                problem.hint = problem.hint.replace(elsewhere, here)
            raise


def _likely(line: str) -> str:
    """The command that a line without its slash resembles, or empty."""
    text = line.strip()
    if text.startswith(_FILE_OPTION) and "\n" not in text:
        return f"/attach {text.removeprefix(_FILE_OPTION)}"
    if line.startswith(" ") and text.startswith(slash_commands.SLASH):
        return text
    return _WORDS.get(text.lower(), "")


def _meant(chat: Chat, line: str) -> tuple[slash_commands.Command, str] | str | None:
    """The line to run: one that looks like a command without its slash is confirmed first, None without an answer."""
    text = line.strip()
    if line.startswith(slash_commands.BANG) and len(text) > 1:
        shell = text[1:].strip()
        return text[1:] if text.startswith(slash_commands.BANG * 2) else (slash_commands.named("run"), shell)
    if text == slash_commands.SLASH:
        return slash_commands.named("help"), ""
    try:
        command = slash_commands.parse(_likely(line))
    except UsageError:
        return line
    if isinstance(command, str):
        return slash_commands.parse(line)
    answer = chat.ask(f"run /{command[0].name}? Y: yes, n: send it as a message")
    if answer is None:
        return None
    return line if answer.strip().lower().startswith("n") else command
