"""The keys of the prompt that differ from those of any line editor."""

from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, emacs_mode, has_focus, has_selection, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys

from hermes_cli.terminal.prompt import keyboard, multi_line
from hermes_cli.terminal.prompt.folded_text import FoldedTexts

LEAVE_HINT = "Ctrl-D exits"
_EMPTY = Condition(lambda: not get_app().current_buffer.text)


class Editing(Protocol):
    """The actions of keys beyond editing the line."""

    folded: FoldedTexts
    in_editor: bool
    asking: bool

    def edited(self, text: str) -> str | None:
        """Edit `text` in the user's editor; None if the editor failed."""

    def say(self, hint: str) -> None:
        """Show a hint until the next key."""


def prompt_keys(prompt: Editing) -> KeyBindings:
    """The bindings."""
    keys = KeyBindings()
    here = has_focus(DEFAULT_BUFFER)
    asking = Condition(lambda: prompt.asking)
    keys.add("enter", filter=here)(_enter)
    keys.add("enter", filter=here & asking & _EMPTY)(lambda event: event.current_buffer.validate_and_handle())
    for key, line in (("left", "/prev"), ("right", "/next")):
        keys.add("escape", key, filter=here & ~asking & _EMPTY & emacs_mode)(_entering(line))
    keys.add("c-j", filter=here)(_new_line)
    # In vi mode Escape has its own meaning, and would come late if something could follow it.
    keys.add("escape", "enter", filter=here & emacs_mode)(_new_line)
    editing = _in_editor(prompt)
    keys.add("c-x", "c-e", filter=here & ~has_selection)(editing)
    keys.add("c-g", filter=here & ~has_selection)(editing)
    keys.add("v", filter=here & vi_navigation_mode & ~has_selection)(editing)

    @keys.add(Keys.BracketedPaste, filter=here)
    def paste(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(prompt.folded.pasted(event.data))

    @keys.add("c-c", filter=here)
    @keys.add("<sigint>")
    def clear(event: KeyPressEvent) -> None:
        if prompt.in_editor:
            return
        buffer = event.app.layout.get_buffer_by_name(DEFAULT_BUFFER)
        event.app.layout.focus(DEFAULT_BUFFER)
        if prompt.asking:
            event.app.exit(exception=EOFError())
        elif buffer and buffer.text:
            buffer.reset(buffer.document)  # a message that was recalled stays in the history
            buffer.save_to_undo_stack()
            buffer.document = Document()
        else:
            prompt.say(LEAVE_HINT)

    @keys.add("c-d", filter=here & _EMPTY)
    def leave(event: KeyPressEvent) -> None:
        event.app.erase_when_done = True
        event.app.exit(exception=EOFError())

    @keys.add("c-z")
    def suspend(event: KeyPressEvent) -> None:
        run_in_terminal(keyboard.stop)

    return keys


def _enter(event: KeyPressEvent) -> None:
    """Send, or start a new line."""
    buffer = event.current_buffer
    if _more_waits(event):
        buffer.insert_text("\n")
    elif buffer.document.is_cursor_at_the_end and multi_line.goes_on(buffer.text):
        _set(buffer, multi_line.with_line_break(buffer.text))
    elif buffer.text.strip():
        buffer.validate_and_handle()


def _entering(line: str) -> Callable[[KeyPressEvent], None]:
    """A key that enters `line` without showing it."""

    def enter(event: KeyPressEvent) -> None:
        event.app.erase_when_done = True
        event.app.exit(result=line)

    return enter


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")


def _more_waits(event: KeyPressEvent) -> bool:
    """Whether keys came together with this Enter: then it is a line end in pasted text. No hand types that fast."""
    return any(_is_text(key) for key in event.key_processor.input_queue)


def _is_text(key: KeyPress) -> bool:
    return key.key in (Keys.ControlM, Keys.ControlJ, Keys.BracketedPaste) or (
        not isinstance(key.key, Keys) and key.data == key.key
    )


def _in_editor(prompt: Editing) -> Callable[[KeyPressEvent], None]:
    def open_editor(event: KeyPressEvent) -> None:
        buffer = event.current_buffer

        async def edit() -> None:
            text = await run_in_terminal(lambda: prompt.edited(prompt.folded.unfolded(buffer.text)), in_executor=True)
            if text is not None:
                buffer.save_to_undo_stack()
                _set(buffer, prompt.folded.shown(text))

        event.app.create_background_task(edit())

    return open_editor


def _set(buffer: Buffer, text: str) -> None:
    buffer.document = Document(text, len(text))
