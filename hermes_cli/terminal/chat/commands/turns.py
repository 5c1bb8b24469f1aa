"""Commands about what was said: again, back, on, anew."""

from dataclasses import replace

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat, as_typed, excerpt
from hermes_cli.terminal.chat.commands.arguments import count, sampling_changes


def leave(chat: Chat, argument: str) -> None:
    """Leave the chat, as /bye and Ctrl-D do."""
    chat.leaving = 0


def regenerate(chat: Chat, argument: str) -> None:
    """Answer the last question anew.

    /regen temperature=0.3 does so with other sampling, this once; /set changes it for good.
    """
    sampling = sampling_changes(replace(chat.session.settings.sampling, seed=None), argument.split())
    if chat.make_room(None, f"/regen {argument}".rstrip()):
        chat.answer(lambda cancel: chat.session.regenerate(cancel, sampling))


def continue_answer(chat: Chat, argument: str) -> None:
    """Go on with an answer that was stopped or cut."""
    if chat.make_room(None, "/continue", go_on=True):
        chat.answer(chat.session.continue_answer, after=_begun(chat))


def _begun(chat: Chat) -> str:
    """What was shown of the last answer: where there are tools, only its text outside of calls."""
    from hermes_cli.formats.tool_call_parser import ToolCallParser

    text = chat.session.conversation.turns[-1].answer.content
    if not chat.session.tools:
        return text
    return "".join(found for found in ToolCallParser().feed(text) if isinstance(found, str))


def undo(chat: Chat, argument: str) -> None:
    """Take back the last turn, or the last N."""
    gone = chat.session.undo(count(argument, otherwise=1))
    turns = "1 turn" if len(gone) == 1 else f"{len(gone)} turns"
    console.notice(f'taken back: {turns}, from "{excerpt(gone[0].question)}"')


def edit(chat: Chat, argument: str) -> None:
    """Take back the last turn and edit its question."""
    (gone,) = chat.session.undo()
    chat.draft = as_typed(gone.question)


def retry(chat: Chat, argument: str) -> None:
    """Send the last message again, after an error or a stop."""
    if not chat.last_text:
        raise UsageError("nothing was sent yet", "type a message")
    turns = chat.session.conversation.turns
    if chat.answered and turns and turns[-1].question.startswith(chat.last_text):
        raise UsageError("the last message has an answer", "/regen answers it anew, /continue goes on with it")
    chat.say(chat.last_text)


def clear(chat: Chat, argument: str) -> None:
    """Begin a new session; system prompt and settings stay."""
    chat.begin_anew()
    kept = "system prompt and settings" if chat.session.conversation.system_prompt is not None else "settings"
    console.notice(f"a new session; {kept} stay")
