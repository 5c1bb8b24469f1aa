"""The hub: which files a repository has, their sizes and checksums."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hermes_cli.errors import DownloadError, UsageError, did_you_mean
from hermes_cli.gguf.kind import kind_by_name
from hermes_cli.gguf.parts import all_parts
from hermes_cli.gguf.quant import choose_quant, preference, quant_of
from hermes_cli.models.download import web
from hermes_cli.models.names import HubReference, is_safe
from hermes_cli.network.exchange import joined_blocks

_LARGEST_ANSWER_BYTES = 64 << 20
_LARGEST_BYTES = 1 << 50


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download; `name` may hold folders. Size and checksum are None where the server publishes none."""

    name: str
    url: str
    size_bytes: int | None
    sha256: str | None


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    return os.environ.get(_offline_variable(), "").upper() in ("1", "ON", "YES", "TRUE")


def _offline_variable() -> str:
    return "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"


def check_online(what: str) -> None:
    """Raise DownloadError if `what` may not be fetched."""
    if is_offline():
        name = _offline_variable()
        raise DownloadError(f"{what} is not downloaded, and {name} is set", f"unset {name}")


def credentials() -> web.Credentials | None:
    """The user's token for the hub, as `hf auth login` or HF_TOKEN gave it. Raises UsageError, DownloadError."""
    place = web.origin(endpoint())
    from huggingface_hub import constants, get_token

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UsageError("the token for the hub holds invalid characters", "set HF_TOKEN again")
    return web.Credentials(place, token) if token else None


def endpoint() -> str:
    """The address of the hub, or of the mirror that HF_ENDPOINT names. Raises DownloadError."""
    place = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if not web.is_web_address(place):
        raise DownloadError(
            f"HF_ENDPOINT is not a web address: {place}", "write it like https://huggingface.co, or unset it"
        )
    return place


def files_of(wanted: HubReference, retries: web.Retries, progress: web.Progress) -> tuple[RemoteFile, ...]:
    """The file, or the parts, that a reference names, pinned to the current commit. Raises DownloadError."""
    commit, entries = retries.run(lambda silence_s: _listing(wanted, silence_s), progress)
    found = {name: entry for name, entry in entries.items() if name.lower().endswith(".gguf") and is_safe(name)}
    parts = all_parts(_chosen(wanted, list(found)))
    missing = [name for name in parts if name not in found]
    if missing:
        raise DownloadError(
            f"{wanted.repository} lacks {missing[0]}", "report it to its owner, or choose another quant"
        )
    base = f"{endpoint()}/{wanted.repository}/resolve/{commit or wanted.revision or 'main'}"
    return tuple(_remote_file(base, name, found[name]) for name in parts)


def _listing(wanted: HubReference, silence_s: float) -> tuple[str | None, dict[str, Mapping[str, Any]]]:
    """The commit and the files of a repository by name. Raises Unreachable, DownloadError."""
    url = f"{endpoint()}/api/models/{wanted.repository}"
    if wanted.revision:
        url += f"/revision/{quote(wanted.revision, safe='')}"
    with web.open_url(f"{url}?blobs=true", {}, credentials(), silence_s, limit_body=True) as answer:
        content = joined_blocks(answer.blocks(), _LARGEST_ANSWER_BYTES)
    try:
        known = json.loads(content)
        entries = {str(entry["rfilename"]): entry for entry in known["siblings"]}
        return str(known["sha"]) if known.get("sha") else None, entries
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DownloadError(f"unexpected response from {endpoint()}", "check HF_ENDPOINT and the proxy") from problem


def _remote_file(base: str, name: str, entry: Mapping[str, Any]) -> RemoteFile:
    size, lfs = entry.get("size"), entry.get("lfs")
    sha256 = lfs.get("sha256") if isinstance(lfs, Mapping) else None
    known = sha256.lower() if isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256) else None
    if size is not None and not (isinstance(size, int) and 0 <= size < _LARGEST_BYTES):
        raise DownloadError(f"the hub reports an impossible size of {name}", "check HF_ENDPOINT and the proxy")
    return RemoteFile(name, f"{base}/{quote(name)}", size, known)


def _chosen(wanted: HubReference, names: list[str]) -> str:
    """The first file of the model that the reference names. Raises DownloadError, which lists what is there."""
    if wanted.file:
        if wanted.file in names:
            return all_parts(wanted.file)[0]
        hint = did_you_mean(wanted.file, names, f"the repository has: {_listed(names)}")
        raise DownloadError(f"{wanted.repository} has no file {wanted.file}", hint)
    place = f"{wanted.repository}/{wanted.folder}" if wanted.folder else wanted.repository
    inside = [name for name in names if not wanted.folder or name.startswith(f"{wanted.folder}/")]
    firsts = [name for name in inside if not kind_by_name(name) and all_parts(name)[0] == name]
    by_quant: dict[str | None, str] = {}
    for name in sorted(firsts, key=lambda name: (len(name), name)):
        by_quant.setdefault(quant_of(f"/{name}"), name)
    quants = [quant for quant in by_quant if quant]
    if wanted.quant:
        quant = choose_quant(wanted.quant, quants)
        if quant:
            return by_quant[quant]
        what = (
            f"the repository has: {', '.join(sorted(quants))}" if quants else f"the repository has: {_listed(inside)}"
        )
        raise DownloadError(f"{place} has no quant {wanted.quant}", what)
    if by_quant:
        return by_quant[min(by_quant, key=preference)]
    raise DownloadError(f"{place} has no GGUF files", "name a repository whose name ends in -GGUF")


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" or "no GGUF files"
