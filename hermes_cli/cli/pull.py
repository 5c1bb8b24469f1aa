"""`hermes pull`: download a model."""

import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.cli import completion
from hermes_cli.cli.confirm import confirmed
from hermes_cli.cli.lists import stdout
from hermes_cli.terminal import console
from hermes_cli.terminal.units import size_text

if TYPE_CHECKING:
    from pathlib import Path

    from hermes_cli.models.names import Reference

_HELP = (
    "A name such as hermes-3-8b, 3b or 8b:Q6_K; hf:OWNER/REPO:QUANT or hf:OWNER/REPO/FILE.gguf; or a URL. "
    "[default: the best model for this machine]"
)
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def pull(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", autocompletion=completion.downloads, help=_HELP)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> int:
    """Download a model, verify its checksum and print its path. Interrupted downloads resume.

    A model that the Hugging Face CLI, LM Studio or Ollama has already downloaded is used in place.
    """
    from hermes_cli.models.names import reference

    path = _without_download(model) if model else None
    if path is None:
        wanted = _recommended() if model is None else reference(model)
        path = here(wanted)
    if path is None:
        _warn_of_size(wanted)
        if not (
            model or yes or confirmed("Download it?", "download it without asking: hermes pull --yes", otherwise=True)
        ):
            return 1
        path = download(wanted)
    stdout.write(f"{path}\n")
    return 0


def _without_download(name: str) -> "Path | None":
    """The demo model or a file, which need no download; prints a notice."""
    from hermes_cli.models.choose import without_download

    path = without_download(name)
    if path is not None:
        why = "is part of the program" if path == paths.DEMO_MODEL else "is already on this machine"
        console.notice(f"{name} {why}; use it with -m {shlex.quote(name)}")
    return path


def here(wanted: "Reference") -> "Path | None":
    """The path of the model if it is already on this machine; prints a notice."""
    from hermes_cli.models.by_name import already_here

    found = already_here(wanted)
    if found is None:
        return None
    kept_by = "" if found.origin in ("pulled", "own") else f", stored by {found.origin}"
    console.notice(f"{wanted} is already on this machine{kept_by}")
    return found.path


def download(wanted: "Reference") -> "Path":
    """Download with a progress bar; the path to open. Raises DownloadError, KeyboardInterrupt."""
    from hermes_cli.models.download.pull import prepare, run
    from hermes_cli.terminal.download_view import DownloadView, duration

    view = DownloadView()
    started = time.monotonic()
    try:
        pulled = prepare(wanted, view)
        if pulled.size_bytes is not None:
            view.note(f"downloading {wanted}: {size_text(pulled.size_bytes)} from {_origin(pulled.files[0].url)}")
        pulled = run(pulled, view)
    except KeyboardInterrupt:
        view.note(f"stopped; to resume: hermes pull {shlex.quote(str(wanted))}")
        raise
    finally:
        view.close()
    verified = ", checksum verified" if all(file.sha256 for file in pulled.files) else ""
    console.notice(f"{wanted} downloaded in {duration(time.monotonic() - started)}{verified}")
    return pulled.path


def _warn_of_size(wanted: "Reference") -> None:
    """Print a notice if a model of the catalog is too large for this machine's memory."""
    from hermes_cli.engine.hardware import memory_bytes
    from hermes_cli.models.names import CatalogReference
    from hermes_cli.models.recommend import needed_bytes

    if isinstance(wanted, CatalogReference):
        needed, memory = needed_bytes(wanted.model, wanted.quant), memory_bytes()
        if needed > memory:
            console.notice(f"{wanted} needs about {size_text(needed)} of memory; this machine has {size_text(memory)}")


def _recommended() -> "Reference":
    """The recommended model, printed with its size, memory and speed."""
    from hermes_cli.models.catalog import QUANTS
    from hermes_cli.models.names import CatalogReference
    from hermes_cli.models.recommend import recommended, usable_gpus

    choice = recommended(usable_gpus())
    model, quant = choice.model, choice.quant
    console.notice(
        f"for this machine: {model.title} {quant}, {size_text(model.size_bytes(quant))} to download, about "
        f"{size_text(choice.memory_bytes)} of memory to run, {choice.expected_speed()} ({choice.why})"
    )
    finer = next((other for other in QUANTS[QUANTS.index(quant) + 1 :]), None)
    larger = choice.slower or (replace(choice, quant=finer) if finer else None)
    if larger:
        console.notice(
            f"larger: hermes pull {larger.name} ({size_text(larger.model.size_bytes(larger.quant))}, "
            f"{larger.expected_speed()}); all: hermes models list --all"
        )
    return CatalogReference(model, quant)


def _origin(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc.rpartition("@")[2]
