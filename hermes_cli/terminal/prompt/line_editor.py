"""The prompt on a terminal: a line editor with history, completion, pastes in one piece and a bottom line."""

import asyncio
import contextlib
import sys
import termios
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import get_app
from prompt_toolkit.auto_suggest import AutoSuggest
from prompt_toolkit.auto_suggest import Suggestion as Ghost
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenuControl
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.shortcuts.prompt import PromptSession

from hermes_cli.errors import HermesError
from hermes_cli.terminal import console, editor
from hermes_cli.terminal.interrupts import ended_by_signals
from hermes_cli.terminal.prompt import keyboard
from hermes_cli.terminal.prompt.folded_text import FoldedTexts, harmless, has_fold
from hermes_cli.terminal.prompt.history import MessageHistory
from hermes_cli.terminal.prompt.key_reader import KeyReader
from hermes_cli.terminal.prompt.keys import prompt_keys
from hermes_cli.terminal.prompt.look import STYLE, ShowLabels, Status, bottom_line, label_in, screen_on
from hermes_cli.terminal.prompt.multi_line import unquoted
from hermes_cli.terminal.prompt.prompt_input import PROMPT, Suggestion
from hermes_cli.terminal.sanitize import one_line

_PLACEHOLDER = "Send a message (/help)"
_ESCAPE_WAIT_S = 0.05
_MENU_ROWS = 5
_ROWS_BESIDE_MENU = 3


class LineEditor:
    """The prompt on the terminal of stdin and of stdout, or of stderr where the answers go elsewhere.

    Enter sends; Alt-Enter, Ctrl-J, Shift-Enter, a trailing backslash and three double quotes make lines. A message
    arrives as it was shown: control characters that were pasted are visible marks, those typed are keys or nothing.
    `keys` and `screen` take the place of the terminal.
    """

    def __init__(
        self,
        *,
        complete: Callable[[str], Iterable[Suggestion]],
        status: Callable[[], Status],
        history_file: Path | None,
        vi_mode: bool = False,
        shown: Callable[[], None] = lambda: None,
        keys: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        self._keys = keys or KeyReader(sys.stdin)
        self.folded = FoldedTexts()
        self.in_editor = self.asking = False
        self._label = PROMPT
        self._history = MessageHistory(history_file)
        self._status = status
        self._shown = shown
        self._hint = ""
        self._failure: BaseException | None = None
        self._stream = sys.stdout if console.is_terminal(sys.stdout) else sys.stderr
        self._session = _Session(
            self._before_cursor,
            multiline=True,
            prompt_continuation=lambda width, *_: " " * width,
            vi_mode=vi_mode,
            completer=_Commands(lambda before: () if self.asking else complete(before)),
            complete_while_typing=Condition(_on_a_command),
            complete_in_thread=True,
            auto_suggest=_Ghosts(),
            history=self._history,
            key_bindings=prompt_keys(self),
            input_processors=[ShowLabels(self.folded)],
            bottom_toolbar=self._bottom_line,
            placeholder=self._placeholder,
            style=STYLE,
            color_depth=None if console.colored(self._stream) else ColorDepth.DEPTH_1_BIT,
            include_default_pygments_style=False,
            input=self._keys,
            output=screen or screen_on(self._stream),
        )
        self._first = True
        app = self._session.app
        app.ttimeoutlen = _ESCAPE_WAIT_S
        app.terminal_size_polling_interval = None
        app.key_processor.before_key_press += lambda _: self.say("")

    def read(self, draft: str = "") -> str | None:
        """The next message; None at end of input, also where the terminal is gone. SIGTERM and SIGHUP leave."""
        self._raise_failure()
        self._hint = ""
        self._session.app.erase_when_done = False
        line: str | None = None
        with (
            contextlib.suppress(EOFError, OSError, termios.error),
            ended_by_signals(lambda code: self.fail(SystemExit(code))),
            keyboard.stopped_with(self._suspend, self._resumed),
        ):
            line = self._session.prompt(
                default=self.folded.shown(draft), pre_run=self._begin, set_exception_handler=False
            )
        self._first = False
        self._raise_failure()
        if problem := self._history.problem():
            console.notice(problem)
        return None if line is None else harmless(self.folded.unfolded(unquoted(line)))

    def ask(self, label: str, draft: str = "") -> str | None:
        """A text that is not a message; Ctrl-C, and Ctrl-D without any text, give None."""
        self.asking, self._label = True, f"{label}: "
        try:
            with self._history.paused():
                return self.read(draft)
        finally:
            self.asking, self._label = False, PROMPT

    def fail(self, error: BaseException) -> None:
        """End a read in progress, or the next one, with `error`; from any thread."""
        self._failure = error
        self._in_loop(self._leave)

    def refresh(self) -> None:
        """Redraw the bottom line; from any thread."""
        self._session.app.invalidate()

    def print_above(self, act: Callable[[], None]) -> None:
        """Call `act` in the main thread with the prompt hidden meanwhile; from any thread."""
        context = self._session.app.context
        if context is not None:
            self._in_loop(lambda: context.copy().run(run_in_terminal, act))

    def _begin(self) -> None:
        """Prepare the event loop; a failure that was reported before it ran is handled here."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_failed)
        loop.call_soon(self._shown)  # what runs next paints the prompt
        if self._failure:
            self._leave()

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fail(context.get("exception") or RuntimeError(str(context.get("message"))))

    def _in_loop(self, act: Callable[[], object]) -> None:
        loop = self._session.app.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(act)

    def _leave(self) -> None:
        app = self._session.app
        if app.future is not None and not app.future.done():
            app.erase_when_done = not self._session.default_buffer.text
            app.exit(exception=EOFError())

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _suspend(self) -> None:
        """As Ctrl-Z; from a signal handler."""
        if self.in_editor:  # the prompt is away already, and comes back only after the editor
            keyboard.stop(group=False)
        else:
            self.print_above(lambda: keyboard.stop(group=False))

    def _resumed(self) -> None:
        """Redraw below the output of the shell; from a signal handler."""
        if self.in_editor:
            return
        if isinstance(self._keys, KeyReader):
            self._keys.raw_again()
        self._session.app.renderer.reset()
        self.refresh()

    def say(self, hint: str) -> None:
        """Show `hint` in the bottom line until the next key."""
        if hint != self._hint:
            self._hint = hint
            self.refresh()

    def _bottom_line(self) -> StyleAndTextTuples:
        status = (lambda: self._hint) if self._hint else self._status
        return [*bottom_line(status, self._session.app.output.get_size().columns)]

    def _before_cursor(self) -> StyleAndTextTuples:
        return [("class:prompt", label_in(self._label, self._session.app.output.get_size().columns))]

    def _placeholder(self) -> StyleAndTextTuples:
        app = self._session.app
        return (
            [("class:placeholder", _PLACEHOLDER)]
            if self._first and not (self.asking or app.is_done or app.layout.is_searching)
            else []
        )

    def edited(self, text: str) -> str | None:
        """Edit `text` in the user's editor, in the usual mode of the terminal; None if the editor failed."""
        import tempfile

        self.in_editor = True
        try:
            with tempfile.TemporaryDirectory(prefix="hermes-") as folder:
                file = Path(folder) / "message.md"
                file.touch(mode=0o600)
                file.write_text(text, encoding="utf-8", errors="replace")
                editor.edit(file)
                return file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
        except OSError as error:
            console.notice(f"cannot put the message into a file: {error.strerror}")
        except HermesError as problem:
            console.error(HermesError(problem.message, "the message is as it was; EDITOR names the editor"))
        finally:
            self.in_editor = False
        return None


class _Session(PromptSession[str]):
    """A prompt session with a menu as tall as its completions, if they fit on the screen."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for window in self.layout.find_all_windows():
            if isinstance(window.content, CompletionsMenuControl):
                window.height = lambda: Dimension(min=1, max=self._most_rows)

    @property
    def _most_rows(self) -> int:
        return max(self.app.output.get_size().rows - _ROWS_BESIDE_MENU, 1)

    @property
    def reserve_space_for_menu(self) -> int:
        """The rows below the line that are kept free while a command is typed."""
        state = self.default_buffer.complete_state
        return min(max(len(state.completions) if state else 0, _MENU_ROWS), max(self._most_rows, _MENU_ROWS))

    @reserve_space_for_menu.setter
    def reserve_space_for_menu(self, rows: int) -> None:
        """It follows from the completions."""


class _Commands(Completer):
    """Completion by the function of the chat; if that fails, there are no suggestions."""

    def __init__(self, complete: Callable[[str], Iterable[Suggestion]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        with contextlib.suppress(HermesError, OSError, ValueError):
            for found in self._complete(document.text_before_cursor):
                yield Completion(
                    harmless(found.text),
                    start_position=-found.length,
                    display=one_line(found.text),
                    display_meta=one_line(found.note),
                )


class _Ghosts(AutoSuggest):
    """The rest of the last message that began like this one."""

    def get_suggestion(self, buffer: Buffer, document: Document) -> Ghost | None:
        text = document.text
        if not text.strip() or not document.is_cursor_at_the_end:
            return None
        for entry in reversed(buffer.history.get_strings()):
            if entry.startswith(text) and not has_fold(entry):
                return Ghost(entry[len(text) :].split("\n", 1)[0])
        return None


def _on_a_command() -> bool:
    text = get_app().current_buffer.text
    return text.startswith("/") and "\n" not in text
