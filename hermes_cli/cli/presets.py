"""`hermes presets`: list, show, create, edit and remove presets."""

from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.cli import completion
from hermes_cli.cli.confirm import confirmed
from hermes_cli.cli.lists import stdout
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.files import check_hint
from hermes_cli.terminal import console, editor

if TYPE_CHECKING:
    from hermes_cli.store.presets.presets import Preset

app = typer.Typer(
    help="List, show, create, edit and remove presets.\n\nA preset is a system prompt with settings, for -p NAME.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list.")]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", autocompletion=completion.presets, help="Preset name, as in: hermes ask -p NAME"),
]

_TEMPLATE = """\
---
description: What {name} does, in one line
# Uncomment the lines below to change the defaults.
# sampling:
#   temperature: 0.8      # 0 always picks the most likely token
#   top_k: 50
#   top_p: 1
#   min_p: 0
#   repeat_penalty: 1.1
#   repeat_last_n: 64     # number of tokens that the penalties count, or all
#   repeat_scope: answer  # or all: the prompt too; more values: hermes help sampling
#   max_tokens: 500       # limit of the answer
# variables:              # each must appear in the text below, in double braces
#   language: English     # a default; --var language=Greek overrides it
#   reader:               # without a default, --var is required
# model: NAME            # a model name or the path of a GGUF file
# tools: [calculate]      # as for --tools; paths are relative to this file
# schema: name, age int   # as for --schema: the answer is JSON
# examples:               # what `hermes test --preset {name}` asks, and what the answers must be
#   - prompt: Hello, who are you?
#     variables: {{reader: a friend}}
#     expect:
#       contains: [I, a]
#       regex: "[.!]$"
#       form: line        # or json, or code: a code block
---
You are a helpful assistant. Describe here what the model should know and do.
"""


@app.callback()
def _alone(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_presets(as_json)
    elif as_json:
        raise UsageError("--json must come after the command", "for example: hermes presets list --json")


@app.command("list")
def list_presets(as_json: AsJson = False) -> None:
    """List presets: name, origin, description."""
    from hermes_cli.store.presets.presets import all_presets

    presets, problems = all_presets()
    rows = [(preset.name, _origin(preset), preset.description) for preset in presets]
    if as_json:
        stdout.write_json(
            [
                {"name": name, "origin": origin, "description": description, "path": str(preset.path)}
                for preset, (name, origin, description) in zip(presets, rows, strict=True)
            ]
        )
    else:
        stdout.write_rows(("name", "", "description"), rows, order=(0, 1), elastic=2)
    for problem in problems:
        console.notice(f"skipped: {problem.message}; {problem.hint}")
    for preset in presets:
        console.notice(*preset.notices)


@app.command("show")
def show(name: Name) -> None:
    """Print the file of a preset."""
    from hermes_cli.store.presets.presets import bundled_file, preset_file, preset_text

    path = preset_file(name)
    stdout.write(preset_text(path))
    if path != bundled_file(name) and bundled_file(name).exists():
        console.notice(f"{name} replaces the bundled preset of that name; to undo: hermes presets rm {name}")


@app.command("new")
def new(
    name: Name,
    source: Annotated[str | None, typer.Option("--from", metavar="PRESET", help="Start from a copy of PRESET.")] = None,
) -> None:
    """Create a preset; on a terminal, open it in an editor."""
    from hermes_cli.store.presets.presets import bundled_file, create, preset_file, preset_text

    text = preset_text(preset_file(source)) if source else _TEMPLATE.format(name=name)
    path = create(name, text)
    stdout.write(f"{path}\n")
    if bundled_file(name).exists():
        console.notice(f"{name} replaces the bundled preset of that name; to undo: hermes presets rm {name}")
    if editor.on_terminal():
        editor.edit(path)
        _check(name)


@app.command("edit")
def edit(name: Name) -> None:
    """Open a preset in $VISUAL or $EDITOR.

    A bundled preset is copied to your own presets first.
    """
    from hermes_cli.store.presets.presets import create, own_file, preset_file, preset_text

    path = own_file(name)
    copy = "" if preset_file(name) == path else preset_text(preset_file(name))
    if copy:
        editor.find(path)
        create(name, copy)
    try:
        editor.edit(path)
    finally:
        if copy and path.exists() and path.read_bytes() == copy.encode():
            path.unlink()
            console.notice(f"not changed; {name} is still the bundled preset")
    _check(name)


@app.command("rm")
def remove(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False
) -> int:
    """Remove one of your own presets."""
    from hermes_cli.store.presets.presets import own_file, preset_file

    path = own_file(name)
    if preset_file(name) != path:
        raise UsageError(f"{name} is bundled and cannot be removed", f"change it instead: hermes presets edit {name}")
    if not (yes or confirmed(f"Remove {path}?", f"remove without asking: hermes presets rm --yes {name}")):
        return 1
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror}", check_hint(path)) from error
    return 0


@app.command("path")
def folder() -> None:
    """Print the folder of your own presets."""
    stdout.write(f"{paths.prompts_folder()}\n")


def _check(name: str) -> None:
    """Print notices about likely mistakes of its author. Raises UsageError for a preset that cannot be used."""
    from hermes_cli.cli.trials.case_file import preset_cases
    from hermes_cli.store.presets.forms import grammar_of, schema_of
    from hermes_cli.store.presets.presets import find_preset

    preset = find_preset(name)
    schema_of(preset)
    grammar_of(preset)
    console.notice(*preset.notices)
    preset_cases(name)


def _origin(preset: "Preset") -> str:
    own = "own, replaces bundled" if preset.replaces_bundled else "own"
    return "bundled" if preset.bundled else own
