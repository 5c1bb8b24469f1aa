"""How the prompt looks: its colours, the bottom line, labels in the place of folded text, and the screen it is on."""

from collections.abc import Callable, Iterable
from typing import TextIO

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from hermes_cli.terminal.columns import cells, wrapped
from hermes_cli.terminal.prompt.folded_text import FoldedTexts, has_fold
from hermes_cli.terminal.prompt.prompt_input import PROMPT
from hermes_cli.terminal.sanitize import for_terminal

_TAB = " " * 4
Status = list[tuple[str, str]] | str

STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "placeholder": "dim",
        "folded": "dim",
        "auto-suggestion": "dim nobold fg:default",
        "bottom-toolbar": "noreverse dim",
        "completion-menu": "fg:default bg:default",
        "completion-menu.completion.current": "fg:default bg:default reverse",
        "completion-menu.meta.completion": "fg:default bg:default dim",
        "completion-menu.meta.completion.current": "fg:default bg:default dim",
        "scrollbar.background": "bg:default",
        "scrollbar.button": "reverse",
        "control-character": "dim fg:default",
    }
)


class Screen(Vt100_Output):
    """The terminal to draw on. Errors of a closed terminal are ignored: its keyboard reports the end."""

    def flush(self) -> None:
        """Send the drawing to the terminal."""
        try:
            super().flush()
        except (OSError, ValueError):
            self._buffer.clear()

    def get_rows_below_cursor_position(self) -> int:
        """One is sure. To ask the terminal would put its answer among the keys, and many never give one."""
        return 1

    @property
    def responds_to_cpr(self) -> bool:
        """Whether to ask for the position of the cursor."""
        return False


def screen_on(stream: TextIO) -> Screen:
    """The terminal behind `stream`."""
    screen = Screen.from_pty(stream, enable_bell=False)
    assert isinstance(screen, Screen)
    return screen


def label_in(label: str, columns: int) -> str:
    """The label of a question before the cursor, or on lines above if it would leave less than a quarter of them."""
    if 4 * cells(label) <= 3 * columns:
        return label
    return "\n".join([*wrapped(label.rstrip(), columns), PROMPT])


class ShowLabels(Processor):
    """Shows each character that stands for folded text as its label, and a tab as spaces."""

    def __init__(self, folded: FoldedTexts) -> None:
        self._folded = folded

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """The line with labels, and where each of its characters is now."""
        fragments = transformation_input.fragments
        line = transformation_input.document.lines[transformation_input.lineno]
        if "\t" not in line and not has_fold(line):
            return Transformation(fragments)
        shown: StyleAndTextTuples = []
        places, sources = [], []
        width = 0
        for source, (style, character, *_) in enumerate(explode_text_fragments(fragments)):
            label = self._folded.label(character)
            text = label or (_TAB if character == "\t" else character)
            shown.append((f"{style} class:folded" if label else style, text))
            places.append(width)
            width += len(text)
            sources += [source] * len(text)
        return Transformation(
            shown,
            source_to_display=lambda at: places[at] if at < len(places) else width + at - len(places),
            display_to_source=lambda at: sources[at] if at < len(sources) else len(places) + at - width,
        )


def bottom_line(status: Callable[[], Status], columns: int) -> list[tuple[str, str]]:
    """The status on one line of at most `columns`, harmless."""
    shown = status()
    parts = [("", shown)] if isinstance(shown, str) else shown
    clean = [(style, for_terminal(text).translate({10: " ", 9: " "})) for style, text in parts]
    if get_cwidth("".join(text for _, text in clean)) <= columns:
        return clean
    return list(_cut(clean, columns - 1))


def _cut(parts: list[tuple[str, str]], columns: int) -> Iterable[tuple[str, str]]:
    """The beginning of `parts`, then `…`."""
    for style, text in parts:
        end = 0
        while end < len(text) and get_cwidth(text[: end + 1]) <= columns:
            end += 1
        yield style, text[:end]
        columns -= get_cwidth(text[:end])
        if end < len(text):
            yield style, "…"
            return
