"""Offer to download a real model before a chat with the demo model."""

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hermes_cli import paths
from hermes_cli.cli.confirm import agreed
from hermes_cli.errors import HermesError
from hermes_cli.terminal import console
from hermes_cli.terminal.units import size_text

if TYPE_CHECKING:
    from hermes_cli.models.recommend import Recommendation

_EVERY_S = 24 * 3600.0


def ask_to_download() -> None:
    """Ask to download the recommended model, if there is no Hermes 3 here; at most once a day, and on a terminal only.

    Used if no model is named. The chat begins in any case, whatever the user answers.
    """
    if not _can_ask() or _declined_today():
        return
    from hermes_cli.models.by_name import best_hermes, use_of_others
    from hermes_cli.models.download.hub import is_offline
    from hermes_cli.models.names import CatalogReference
    from hermes_cli.models.recommend import recommended, usable_gpus

    if best_hermes() or is_offline():
        return
    choice = recommended(usable_gpus())
    others = use_of_others()
    if others:
        console.notice(others)
    if choice.slower:
        better = choice.slower
        console.notice(
            f"{better.model.title} would generate {better.expected_speed()} here, {choice.model.title} "
            f"{choice.expected_speed()}; to download the larger one: hermes pull {better.name}"
        )
    question = f"Download {_summary(choice)}?"
    if not _agreed(question):
        _remember_declined()
        return
    from hermes_cli.cli.pull import download

    try:
        download(CatalogReference(choice.model, choice.quant))
    except HermesError as problem:
        console.error(problem)
    except KeyboardInterrupt:
        console.notice("the chat starts with the demo model")


def _summary(choice: "Recommendation") -> str:
    size = size_text(choice.model.size_bytes(choice.quant))
    return f"{choice.model.title} {choice.quant} ({size}, {choice.expected_speed()})"


def _can_ask() -> bool:
    return "CI" not in os.environ and all(map(console.is_terminal, (sys.stdin, sys.stdout, sys.stderr)))


def _agreed(question: str) -> bool:
    try:
        return agreed(question)
    except KeyboardInterrupt:
        console.put("\n")
        return False


def _declined_today() -> bool:
    try:
        age_s = time.time() - paths.offer_file().stat().st_mtime
    except OSError:
        return False
    return 0 <= age_s < _EVERY_S


def _remember_declined() -> None:
    with suppress(OSError):
        paths.cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.offer_file().touch(mode=0o600)
