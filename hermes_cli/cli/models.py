"""`hermes models`: list, show, inspect and remove models."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.cli import completion
from hermes_cli.cli.confirm import agreed, check_terminal
from hermes_cli.cli.lists import model_list, stdout
from hermes_cli.errors import ModelNotFound, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.units import size_text

if TYPE_CHECKING:
    from pathlib import Path

    from hermes_cli.models.inspect import Inspected
    from hermes_cli.models.model import FoundModel

app = typer.Typer(
    help="List, inspect and remove models. To download one: hermes pull.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=completion.models, help="A name from `hermes models list`, or its beginning."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also list models that can be downloaded.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL|NAME", help="List the models of this server instead.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


@app.callback()
def _alone(context: typer.Context, everything: All = False, json: Json = False, endpoint: EndpointUrl = None) -> None:
    if context.invoked_subcommand is None:
        list_models(everything, json, endpoint)
    elif everything or json or endpoint:
        option, command = "--all" if everything else "--json" if json else "--endpoint", context.invoked_subcommand
        raise UsageError(f"{option} must come after {command}", f"hermes models {command} --help")


@app.command("list")
def list_models(
    everything: All = False,
    json: Json = False,
    endpoint: EndpointUrl = None,
) -> None:
    """List local models with their size, store and file. * marks the default model."""
    if endpoint:
        from hermes_cli.cli.lists import served_models

        served_models.print_models(served_models.served_models(endpoint), as_json=json)
        return
    from hermes_cli.models.library import found_files

    model_list.print_models(model_list.rows(found_files(), _default(), everything), as_json=json)
    if not json and console.is_terminal(sys.stdout):
        _print_unfinished()


@app.command("show")
def show(name: Name, json: Json = False) -> None:
    """Show where a model is and where it came from.

    For a model that is not downloaded, show what is available under that name.
    """
    from hermes_cli.models.aliases import without_alias
    from hermes_cli.models.choose import find_file

    name = without_alias(name)
    facts = model_list.to_download(name) or model_list.facts(find_file(name))
    if json:
        stdout.write_json(facts)
    else:
        stdout.write(model_list.lines(facts))


@app.command("inspect")
def inspect(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH|hf:...|URL",
            autocompletion=completion.models,
            help="A local model, a model on the Hugging Face Hub, or a URL.",
        ),
    ],
    json: Json = False,
) -> None:
    """Show a model's header and the memory it needs.

    Reads only the header; the model is neither loaded nor downloaded.
    """
    inspected = _inspected(name)
    if json:
        stdout.write_json(model_list.inspected_facts(inspected))
    else:
        stdout.write(model_list.inspection(inspected))


@app.command("rm")
def remove(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", autocompletion=completion.models, help="A model that hermes pull downloaded."),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Remove the partial files of interrupted downloads.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Remove a downloaded model. Models of other programs, and your own files, are never removed."""
    from hermes_cli.models import records

    if (name is None) != unfinished:
        raise UsageError("give either a model or --unfinished", "list the local models: hermes models list")
    if name is None:
        return _remove_unfinished(yes)
    found = _removable(name)
    files = [file for file in found.parts if records.record_of(file)]
    if not _agreed(files, yes, f"hermes models rm --yes {shlex.quote(name)}"):
        return 1
    for file in files:
        records.remove(file)
    return 0


def _remove_unfinished(yes: bool) -> int:
    """Ask and remove; 1 if the user declines, or if a download has resumed."""
    from hermes_cli.files import in_use
    from hermes_cli.models import records

    parts = records.unfinished()
    if not parts:
        console.notice("there are no stopped downloads")
        return 0
    if not _agreed(parts, yes, "hermes models rm --unfinished --yes"):
        return 1
    busy = [part for part in parts if in_use(part)]  # it was resumed while the user was asked
    for part in parts:
        if part in busy:
            console.notice(f"{part.name.removesuffix('.part')} stays: its download has resumed")
        else:
            records.remove_unfinished(part)
    return 1 if busy else 0


@app.command("alias")
def alias(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", autocompletion=completion.aliases, help="The alias.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            autocompletion=completion.models,
            help="The model: a name, a file, hf:OWNER/REPOSITORY:QUANT or a URL.",
        ),
    ] = None,
    remove_it: Annotated[bool, typer.Option("--rm", help="Remove the alias.")] = False,
) -> None:
    """List, add or remove aliases: other names for models."""
    from hermes_cli.cli.lists import alias_list

    if remove_it and (name is None or model is not None):
        raise UsageError("--rm takes one alias", "list the aliases: hermes models alias")
    if name is None:
        alias_list.print_aliases()
    elif remove_it:
        alias_list.remove(name)
    elif model is None:
        stdout.write(f"{alias_list.target(name)}\n")
    else:
        alias_list.add(name, model)


@app.command("path")
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", autocompletion=completion.models, help="A model.")
    ] = None,
) -> None:
    """Print the path of a model, or of the models folder."""
    from hermes_cli.models.choose import find_model

    stdout.write(f"{find_model(name).path if name else paths.models_folder()}\n")


def _default() -> "FoundModel | None":
    """The model that answers where none is named; None, with a notice, where the setting cannot be used."""
    from hermes_cli.models.choose import find_model
    from hermes_cli.store.settings.settings import read_settings

    settings, _ = read_settings()
    try:
        return find_model(settings.model)
    except ModelNotFound as problem:
        console.notice(f"{problem.message} (in {settings.origin('model')})")
        return None


def _inspected(name: str) -> "Inspected":
    from hermes_cli.models import catalog
    from hermes_cli.models.aliases import without_alias
    from hermes_cli.models.by_name import already_here
    from hermes_cli.models.choose import find_file
    from hermes_cli.models.inspect import inspect_found, inspect_remote
    from hermes_cli.models.names import is_remote, reference
    from hermes_cli.terminal.download_view import DownloadView

    name = without_alias(name)
    if not is_remote(name):
        try:
            return inspect_found(find_file(name))
        except ModelNotFound:
            if not catalog.look_up(name):
                raise
    wanted = reference(name)
    found = already_here(wanted)
    if found:
        return inspect_found(found)
    view = DownloadView()
    try:
        return inspect_remote(wanted, view)
    finally:
        view.close()


def _removable(name: str) -> "FoundModel":
    """A model that `hermes pull` downloaded. Raises UsageError for any other."""
    from hermes_cli.models.choose import find_file

    found = find_file(name)
    if found.origin != "pulled":
        owner = {"bundled": "is part of the program", "own": "is your own file"}
        why = owner.get(found.origin, f"belongs to {found.origin}")
        raise UsageError(f"{found.name} {why} and is not removed", f"the file is {found.path}")
    return found


def _agreed(files: "list[Path]", yes: bool, without_asking: str) -> bool:
    """Show what would be removed and ask. Raises UsageError where stdin is not a terminal."""
    if yes:
        return True
    check_terminal(f"remove without asking: {without_asking}")
    for file in files:
        size = file.stat().st_size if file.exists() else 0
        console.notice(f"{file}  {size_text(size)}")
    return agreed("Remove these files?")


def _print_unfinished() -> None:
    from hermes_cli.models import records

    parts = records.unfinished()
    for part in parts:
        console.notice(f"unfinished: {part.name.removesuffix('.part')}, {size_text(part.stat().st_size)} so far")
    if parts:
        console.notice("resume with hermes pull, or remove the parts: hermes models rm --unfinished")
