"""References to models to download or inspect: a name in the catalog, a file on the hub, or a URL."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hermes_cli.errors import UsageError
from hermes_cli.gguf.quant import normal_quant
from hermes_cli.models import catalog
from hermes_cli.models.aliases import without_alias

_PREFIXES = ("hf://", "hf:", "hf.co/", "huggingface.co/")
_PAGES = ("huggingface.co", "hf.co", "www.huggingface.co")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_ON_HUB = re.compile(rf"(?P<repository>{_NAME}/{_NAME})(?::(?P<quant>[A-Za-z0-9_.-]+)|/(?P<file>.+\.gguf))?")
_PAGE = re.compile(
    rf"/(?P<repository>{_NAME}/{_NAME})(?::(?P<quant>[A-Za-z0-9_.-]+))?/?"
    r"(?:(?<=/)(?:resolve|blob|raw|tree)/(?P<revision>[^/]+)(?:/(?P<path>.+?))?/?)?"
)
_NOT_MODELS = ("datasets", "spaces", "docs", "api", "collections", "papers", "blog", "models", "organizations")
_HOW = "write it like hf:NousResearch/Hermes-3-Llama-3.1-8B-GGUF:Q4_K_M, or with /FILE.gguf at the end"


@dataclass(frozen=True, slots=True)
class CatalogReference:
    """A model of the catalog in one of its quants."""

    model: catalog.CatalogModel
    quant: str

    def __str__(self) -> str:
        return self.model.name if self.quant == catalog.DEFAULT_QUANT else f"{self.model.name}:{self.quant}"


@dataclass(frozen=True, slots=True)
class HubReference:
    """A file in a repository on the hub: by its path, by its quant, or the preferred quant of all or of a folder."""

    repository: str
    quant: str | None = None
    file: str | None = None
    revision: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        if self.file and self.revision and self.is_pinned:
            return f"https://{_PAGES[0]}/{self.repository}/resolve/{quote(self.revision, safe='')}/{quote(self.file)}"
        if self.file:
            return f"hf:{self.repository}/{self.file}"
        if self.revision and (self.is_pinned or self.folder):
            page = f"https://{_PAGES[0]}/{self.repository}/tree/{quote(self.revision, safe='')}"
            return f"{page}/{quote(self.folder)}" if self.folder else page
        return f"hf:{self.repository}:{self.quant}" if self.quant else f"hf:{self.repository}"

    @property
    def is_pinned(self) -> bool:
        """Whether it is of another revision than the latest."""
        return self.revision not in (None, "main")


@dataclass(frozen=True, slots=True)
class UrlReference:
    """A file anywhere else."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def address(self) -> str:
        """The URL without what may change while the file does not: a signature, the place in a page."""
        return address(self.url)

    @property
    def host(self) -> str:
        """The server, with its port if the URL names one."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(self.url).netloc.rpartition("@")[2].lower())

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]


Reference = CatalogReference | HubReference | UrlReference


def is_remote(text: str) -> bool:
    """Whether this names something on the hub or at a URL, and cannot be a name or path here."""
    return text.lower().startswith((*_PREFIXES, "http://", "https://"))


def reference(text: str) -> Reference:
    """What `text` names, which may be an alias. Raises UsageError, ModelNotFound."""
    text = without_alias(text)
    if text.lower().startswith(("http://", "https://")):
        return _url(text)
    prefix = next((prefix for prefix in _PREFIXES if text.lower().startswith(prefix)), None)
    if prefix:
        return _on_hub(text, text[len(prefix) :])
    known = catalog.look_up(text)
    if known:
        model, quant = known
        catalog.check_quant(model, quant)
        return CatalogReference(model, quant or catalog.DEFAULT_QUANT)
    if re.fullmatch(rf"{_NAME}/{_NAME}(?::.*|/.*\.gguf)?", text):
        raise UsageError(f"{text} could be a file here or a repository on the hub", f"for the hub: hf:{text}")
    raise catalog.nothing_called(text)


def address(url: str) -> str:
    """A URL without query and fragment."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _on_hub(text: str, rest: str) -> HubReference:
    found = _ON_HUB.fullmatch(rest)
    if not found or not is_safe(found["file"] or "x"):
        raise UsageError(f"{text} does not name a file on the hub", _HOW)
    quant = None if found["quant"] == "latest" else found["quant"]  # Ollama's word for the usual one
    return HubReference(found["repository"], normal_quant(quant) if quant else None, found["file"])


def _url(text: str) -> HubReference | UrlReference:
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or re.search(r"[\x00-\x20\x7f]", text):
        raise UsageError(f"{text} is not a URL", "copy the address of a .gguf file")
    if parts.username is not None:
        raise UsageError(
            f"a user name in a URL is not sent to {host}", "download the file with curl, and name its path"
        )
    page = _hub_page(parts.path, parts.query) if host in (*_PAGES, _mirror()) else None
    if page:
        return page
    found = UrlReference(text)
    if not found.file_name.lower().endswith(".gguf") or not is_safe(f"{found.host}/{found.file_name}"):
        hint = "give the address of a .gguf file, or of a repository: https://huggingface.co/OWNER/REPOSITORY"
        raise UsageError(f"{text} is not the address of a GGUF file", hint)
    return found


def _hub_page(path: str, query: str) -> HubReference | None:
    """The repository, folder or file of a page of the hub, as copied from a browser."""
    page = _PAGE.fullmatch(path)
    if not page or page["repository"].partition("/")[0] in _NOT_MODELS:
        return None
    if not page["revision"] and page["repository"].lower().endswith(".gguf"):  # a file of another server there
        return None
    revision, inside = unquote(page["revision"] or "") or None, unquote(page["path"] or "")
    shown = parse_qs(query).get("show_file_info", [""])[0]  # the dialog about a file on a repository's page
    inside = shown if shown.lower().endswith(".gguf") else inside
    if inside and (not is_safe(inside) or ("/blob/" in path and not inside.lower().endswith(".gguf"))):
        return None
    if inside.lower().endswith(".gguf"):
        return HubReference(page["repository"], None, inside, revision or "main")
    quant = normal_quant(page["quant"]) if page["quant"] else None
    pinned = revision if revision != "main" or inside else None
    return HubReference(page["repository"], quant, None, pinned, inside or None)


def _mirror() -> str | None:
    """The host of the mirror that HF_ENDPOINT names."""
    with suppress(ValueError):
        return urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname
    return None


def is_safe(path: str) -> bool:
    """Whether a path from outside stays below the folder it is put into."""
    parts = path.split("/")
    return all(part and part[0] != "." and len(part) < 200 and part.isprintable() for part in parts)
