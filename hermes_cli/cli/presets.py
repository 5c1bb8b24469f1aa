"""`hermes presets`: list, show, write, change and remove presets. What a preset is: store.presets."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.cli.confirm import agreed, check_somebody_is_here
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.files import check_hint
from hermes_cli.terminal import console, editor
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.columns import table, window_columns
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.store.presets.presets import Preset

app = typer.Typer(
    help="System prompts with their sampling, to use with -p: the bundled ones and your own.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name, as in: hermes ask -p NAME")]

_TEMPLATE = """\
---
description: {name}, in one line for `hermes presets list`
# The lines below are only needed where you want something else than usual.
# sampling:
#   temperature: 0.8      # 0 always takes the likeliest word
#   top_k: 50
#   top_p: 1
#   min_p: 0
#   repeat_penalty: 1.1
#   max_tokens: 500       # stop the answer there
# variables:              # each must be in the text below, in double braces
#   language: English     # this default can be changed: --var language=Greek
#   reader:               # without a default --var must give it
# model: a model's name, or the path of a GGUF file
# tools: [calculate]      # as --tools takes them; files lie beside this one
# schema: name, age int   # as --schema takes it: the answer is JSON by it
# examples:               # what `hermes test --preset {name}` asks, and what the answers must be
#   - prompt: Hello, who are you?
#     variables: {{reader: a friend}}
#     expect:
#       contains: [I, a]
#       regex: "[.!]$"
#       form: line        # or json, or code: a code block
---
You are a helpful assistant. Put here what the model should know and do.
"""


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_presets()


@app.command("list")
def list_presets(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False) -> None:
    """List the presets: name, whose it is, what it is for."""
    from hermes_cli.store.presets.presets import all_presets

    presets, problems = all_presets()
    if as_json:
        _write(_as_json(presets))
    else:
        _write(_table(presets) if console.is_terminal(sys.stdout) else _tab_separated(presets))
    for problem in problems:
        console.notice(f"left out: {problem.message}; {problem.hint}")


@app.command("show")
def show(name: Name) -> None:
    """Print a preset as it is written."""
    from hermes_cli.store.presets.presets import preset_file, preset_text

    _write(preset_text(preset_file(name)))


@app.command("new")
def new(
    name: Name,
    source: Annotated[str | None, typer.Option("--from", metavar="PRESET", help="Begin with a copy of this.")] = None,
) -> None:
    """Write a new preset of your own, and open it in $VISUAL or $EDITOR on a terminal."""
    from hermes_cli.store.presets.presets import create, preset_file, preset_text

    text = preset_text(preset_file(source)) if source else _TEMPLATE.format(name=name)
    path = create(name, text)
    _write(f"{path}\n")
    if editor.on_terminal():
        editor.edit(path)
        _check(name)


@app.command("edit")
def edit(name: Name) -> None:
    """Open a preset in $VISUAL or $EDITOR; a bundled one is copied to your own folder first."""
    from hermes_cli.store.presets.presets import create, own_file, preset_file, preset_text

    path = own_file(name)
    copy = "" if preset_file(name) == path else preset_text(preset_file(name))
    if copy:
        create(name, copy)
    try:
        editor.edit(path)
    finally:
        if copy and path.exists() and path.read_bytes() == copy.encode():
            path.unlink()
            console.notice(f"nothing was changed; {name} stays the bundled one")
    _check(name)


@app.command("rm")
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> int:
    """Remove a preset of your own. The bundled ones stay."""
    from hermes_cli.store.presets.presets import own_file, preset_file

    path = own_file(name)
    if preset_file(name) != path:
        raise UsageError(f"{name} is bundled and cannot be removed", f"change it instead: hermes presets edit {name}")
    if not yes:
        check_somebody_is_here(f"remove it without asking: hermes presets rm --yes {name}")
        if not agreed(f"Remove {path}?"):
            return 1
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror}", check_hint(path)) from error
    return 0


@app.command("path")
def folder() -> None:
    """Print the folder of your own presets."""
    _write(f"{paths.prompts_folder()}\n")


def _check(name: str) -> None:
    """Raise UsageError for a preset that cannot be used."""
    from hermes_cli.cli.trials.case_file import preset_cases
    from hermes_cli.store.presets.presets import find_preset, schema_of

    schema_of(find_preset(name))
    preset_cases(name)


def _table(presets: Iterable["Preset"]) -> str:
    """Aligned columns, for people."""
    rows = [("name", "", "description"), *(tuple(map(one_line, row)) for row in _rows(presets))]
    return table(rows, window_columns(sys.stdout), order=(0, 1), elastic=2)


def _tab_separated(presets: Iterable["Preset"]) -> str:
    """A line each, for programs."""
    return "".join("\t".join(row) + "\n" for row in _rows(presets))


def _as_json(presets: Sequence["Preset"]) -> str:
    """One list of objects."""
    objects = [
        {"name": name, "origin": owner, "description": what, "path": str(preset.path)}
        for preset, (name, owner, what) in zip(presets, _rows(presets), strict=True)
    ]
    return json.dumps(objects, ensure_ascii=False, indent=2) + "\n"


def _rows(presets: Iterable["Preset"]) -> list[tuple[str, str, str]]:
    return [(preset.name, "bundled" if preset.bundled else "own", preset.description) for preset in presets]


def _write(text: str) -> None:
    """To stdout as it is, or made harmless for a terminal."""
    StandardOutput().write(text)
