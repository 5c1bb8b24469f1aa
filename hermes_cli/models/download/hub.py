"""The hub: which files a repository has, their sizes and checksums; by huggingface_hub, with retries of our own."""

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hermes_cli.errors import DownloadError, UsageError, did_you_mean
from hermes_cli.gguf.parts import all_parts
from hermes_cli.models.download import web
from hermes_cli.models.download.patience import Patience, Watcher
from hermes_cli.models.names import HubReference, is_safe, preference, quant_of

_TIMEOUT_S = 20.0
_LARGEST_BYTES = 1 << 50


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download; `name` may hold folders. Size and checksum are None where nobody tells them."""

    name: str
    url: str
    size_bytes: int | None
    sha256: str | None


def is_offline() -> bool:
    """Whether the user forbade the network, in the words of the hub's own programs."""
    return os.environ.get(_offline_variable(), "").upper() in ("1", "ON", "YES", "TRUE")


def _offline_variable() -> str:
    """The one that decides."""
    return "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"


def check_online(what: str) -> None:
    """Raise DownloadError if `what` may not be fetched."""
    if is_offline():
        name = _offline_variable()
        raise DownloadError(f"{what} is not here, and {name} forbids the network", f"unset {name}")


def credentials() -> web.Credentials | None:
    """The user's token for the hub, as `hf auth login` or HF_TOKEN gave it. Raises UsageError, DownloadError."""
    place = web.origin(endpoint())
    from huggingface_hub import constants, get_token

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UsageError("the token for the hub has characters that no token has", "set HF_TOKEN to it once more")
    return web.Credentials(place, token) if token else None


def endpoint() -> str:
    """The address of the hub, or of the mirror that HF_ENDPOINT names. Raises DownloadError."""
    place = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if not web.is_web_address(place):
        raise DownloadError(
            f"HF_ENDPOINT is no web address: {place}", "write it like https://huggingface.co, or unset it"
        )
    return place


def files_of(wanted: HubReference, patience: Patience, watcher: Watcher) -> tuple[RemoteFile, ...]:
    """The file, or the parts, that a reference names, pinned to the repository as it is now. Raises DownloadError."""
    info = patience.retry(lambda: _info(wanted), watcher)
    names = {str(entry.rfilename): entry for entry in info.siblings or ()}
    found = {name: entry for name, entry in names.items() if name.lower().endswith(".gguf") and is_safe(name)}
    parts = all_parts(_chosen(wanted, list(found)))
    missing = [name for name in parts if name not in found]
    if missing:
        raise DownloadError(f"{wanted.repository} lacks {missing[0]}", "tell its owner; take another quant meanwhile")
    base = f"{endpoint()}/{wanted.repository}/resolve/{info.sha or wanted.revision or 'main'}"
    return tuple(_remote_file(base, found[name]) for name in parts)


def _remote_file(base: str, entry: Any) -> RemoteFile:
    from urllib.parse import quote

    sha256 = str(entry.lfs.sha256).lower() if entry.lfs else None
    known = sha256 if sha256 and re.fullmatch(r"[0-9a-f]{64}", sha256) else None
    name, size = entry.rfilename, entry.size
    if size is not None and not (isinstance(size, int) and 0 <= size < _LARGEST_BYTES):
        raise DownloadError(f"the hub tells an impossible size of {name}", "check HF_ENDPOINT and the proxy")
    return RemoteFile(name, f"{base}/{quote(name)}", size, known)


def _chosen(wanted: HubReference, names: list[str]) -> str:
    """The first file of what the reference means."""
    models = [name for name in names if re.search(r"mmproj|imatrix", name, re.IGNORECASE) is None]
    firsts = sorted((name for name in models if all_parts(name)[0] == name), key=lambda name: (len(name), name))
    if wanted.file:
        if wanted.file in names:
            return all_parts(wanted.file)[0]
        hint = did_you_mean(wanted.file, names, f"it has {_listed(names)}")
        raise DownloadError(f"{wanted.repository} has no file {wanted.file}", hint)
    by_quant: dict[str | None, str] = {}
    for name in firsts:
        by_quant.setdefault(quant_of(name), name)
    quants = [quant for quant in by_quant if quant]
    if wanted.quant:
        if wanted.quant in by_quant:
            return by_quant[wanted.quant]
        what = f"it has {', '.join(quants)}" if quants else f"it has {_listed(names)}"
        raise DownloadError(f"{wanted.repository} has no quant {wanted.quant}", what)
    if by_quant:
        return by_quant[min(by_quant, key=preference)]
    raise DownloadError(f"{wanted.repository} has no GGUF files", "name a repository whose name ends in -GGUF")


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" or "no GGUF files"


def _info(wanted: HubReference) -> Any:
    """What the hub knows of a repository. Raises Unreachable, DownloadError."""
    place, token = endpoint(), credentials()  # before the import, which fails for some that are none
    from huggingface_hub import HfApi, errors

    try:
        return HfApi(endpoint=place, token=token.token if token else None).model_info(
            wanted.repository, revision=wanted.revision, files_metadata=True, timeout=_TIMEOUT_S
        )
    except errors.GatedRepoError as problem:
        raise web.access_refused(_page(wanted), 403, gated=True) from problem
    except errors.RevisionNotFoundError as problem:
        raise DownloadError(f"{wanted.repository} has no revision {wanted.revision}", "leave it out") from problem
    except errors.RepositoryNotFoundError as problem:
        hint = "check the name; for a private or gated one set HF_TOKEN to a token that may read it"
        raise DownloadError(f"there is no repository {wanted.repository} on the hub", hint) from problem
    except errors.HfHubHTTPError as problem:
        raise _refused(wanted, problem) from problem
    except errors.HTTPError as problem:  # type: ignore[attr-defined]
        raise _unreachable(problem) from problem
    except (OSError, ssl.SSLError) as problem:
        raise web.failure(problem, _page(wanted)) from problem
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DownloadError("the hub's answer makes no sense", "check HF_ENDPOINT and the proxy") from problem
    except Exception as problem:  # what its client says of a proxy that it cannot use
        raise DownloadError(
            f"the hub cannot be asked: {_words(problem)}", "check HF_ENDPOINT and the proxy"
        ) from problem


def _refused(wanted: HubReference, problem: Any) -> Exception:
    code = problem.response.status_code
    if code in (401, 403):
        return web.access_refused(_page(wanted), code, gated=False)
    if code == 429 or code >= 500 or code == 408:
        wait_s = web.retry_after(problem.response.headers.get("Retry-After"))
        return web.Unreachable(f"the hub is busy ({code})", wait_s)
    return DownloadError(f"the hub refuses ({code})", "check the name, HF_ENDPOINT and the proxy")


def _unreachable(problem: Exception) -> Exception:
    """A client's error is told by its words and causes; its classes change with the library's versions."""
    causes = list(_causes(problem))
    unsure = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if unsure or "CERTIFICATE_VERIFY_FAILED" in str(problem):
        why = unsure.verify_message if unsure else "its certificate is not trusted"
        return DownloadError(f"the hub cannot prove who it is: {why}", web.TLS_HINT)
    if "Timeout" in type(problem).__name__:
        return web.Unreachable("the hub does not answer")
    return web.Unreachable(f"cannot reach the hub: {_words(problem)}")


def _words(problem: Exception) -> str:
    return re.sub(r"^.Errno -?[0-9]+. ", "", str(problem)).rstrip(".")


def _causes(problem: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = problem
    for _ in range(20):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _page(wanted: HubReference) -> str:
    return f"{endpoint()}/{wanted.repository}"
