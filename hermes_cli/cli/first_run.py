"""The offer of a real model where a chat would begin with the demo model."""

import os
import sys
import time
from contextlib import suppress

from hermes_cli import paths
from hermes_cli.cli.confirm import agreed
from hermes_cli.errors import HermesError
from hermes_cli.terminal import console
from hermes_cli.terminal.units import size_text

_EVERY_S = 24 * 3600.0


def offer_model() -> None:
    """Offer the recommended download, if there is no Hermes 3 here and somebody can answer; once a day if declined.

    For a chat in which no model was named. Whatever the answer is, or however the download ends, the chat can begin.
    """
    if not _somebody_is_here() or _declined_lately():
        return
    from hermes_cli.models.choose import best_hermes
    from hermes_cli.models.download.hub import is_offline
    from hermes_cli.models.names import CatalogReference
    from hermes_cli.models.recommend import recommended, usable_gpus

    if best_hermes() or is_offline():
        return
    choice = recommended(usable_gpus())
    size = size_text(choice.model.size_bytes(choice.quant))
    question = f"Download {choice.model.title} {choice.quant} ({size}, {choice.expected_speed()})?"
    if not _agreed(question):
        _remember_declined()
        return
    from hermes_cli.cli.pull import download

    try:
        download(CatalogReference(choice.model, choice.quant))
    except HermesError as problem:
        console.error(problem)
    except KeyboardInterrupt:
        console.notice("the chat begins with the demo model")


def _somebody_is_here() -> bool:
    return "CI" not in os.environ and all(map(console.is_terminal, (sys.stdin, sys.stdout, sys.stderr)))


def _agreed(question: str) -> bool:
    try:
        return agreed(question)
    except KeyboardInterrupt:
        console.put("\n")
        return False


def _declined_lately() -> bool:
    try:
        age_s = time.time() - paths.offer_file().stat().st_mtime
    except OSError:
        return False
    return 0 <= age_s < _EVERY_S


def _remember_declined() -> None:
    with suppress(OSError):
        paths.cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.offer_file().touch(mode=0o600)
