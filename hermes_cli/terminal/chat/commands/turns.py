"""Commands about turns: generate again, continue, undo, edit, retry, clear."""

from dataclasses import replace

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat, as_typed, excerpt
from hermes_cli.terminal.chat.commands.arguments import count, sampling_changes


def leave(chat: Chat, argument: str) -> None:
    """Exit the chat, like /bye and Ctrl-D."""
    chat.leaving = 0


def regenerate(chat: Chat, argument: str) -> None:
    """Generate the last answer again.

    /regen temperature=0.3 uses other sampling this once; /set changes it for the session.
    """
    sampling = sampling_changes(replace(chat.session.settings.sampling, seed=None), argument.split())
    if chat.make_room(None, f"/regen {argument}".rstrip()):
        chat.answer(lambda cancel: chat.session.regenerate(cancel, sampling))


def continue_answer(chat: Chat, argument: str) -> None:
    """Continue an answer that was stopped or cut."""
    if chat.make_room(None, "/continue", resume=True):
        chat.answer(chat.session.continue_answer, after=_shown_part(chat))


def _shown_part(chat: Chat) -> str:
    """The text of the last answer that was shown: with tools, only the text outside of calls."""
    from hermes_cli.formats.tool_call_parser import ToolCallParser

    text = chat.session.conversation.turns[-1].answer.content
    if not chat.session.tools:
        return text
    return "".join(found for found in ToolCallParser().feed(text) if isinstance(found, str))


def undo(chat: Chat, argument: str) -> None:
    """Remove the last turn, or the last N."""
    gone = chat.session.undo(count(argument, otherwise=1))
    turns = "1 turn" if len(gone) == 1 else f"{len(gone)} turns"
    console.notice(f'removed: {turns}, from "{excerpt(gone[0].question)}"')


def edit(chat: Chat, argument: str) -> None:
    """Remove the last turn and edit its message."""
    (gone,) = chat.session.undo()
    chat.draft = as_typed(gone.question)


def retry(chat: Chat, argument: str) -> None:
    """Send the last message again after an error or Ctrl-C."""
    if not chat.last_text:
        raise UsageError("there is no message to send again", "type one")
    turns = chat.session.conversation.turns
    if chat.answered and turns and turns[-1].question.startswith(chat.last_text):
        raise UsageError("the last message has an answer", "/regen generates it again, /continue resumes it")
    chat.say(chat.last_text)


def clear(chat: Chat, argument: str) -> None:
    """Start a new session; system prompt and settings stay."""
    chat.start_new()
    kept = "system prompt and settings" if chat.session.conversation.system_prompt is not None else "settings"
    console.notice(f"new session; {kept} stay")
