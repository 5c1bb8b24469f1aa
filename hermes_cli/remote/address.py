"""Parses the address of a server, and finds the key for it."""

import ipaddress
import os
import re
import stat
from pathlib import Path
from urllib.parse import quote, urlsplit

from hermes_cli import paths
from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass

_HINT = "write it like http://localhost:8000, localhost:8000 or unix:/path/to/socket"
_OPENAI = "https://api.openai.com"


@dataclass(frozen=True, slots=True)
class Address:
    """A server without a trailing `/v1`: `base` is `scheme://host[:port][/prefix]`; `socket_path` for Unix sockets."""

    base: str
    socket_path: str | None = None

    def __str__(self) -> str:
        return f"unix:{self.socket_path}" if self.socket_path else self.base

    @property
    def host(self) -> str:
        """The host name or IP address; `localhost` for a Unix socket."""
        return urlsplit(self.base).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: a Unix socket or a loopback address."""
        if self.socket_path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """The address in `text`: a URL with or without `/v1`, `host:port`, or `unix:/path`. Raises UsageError."""
    given = text.strip()
    if given.startswith("unix:"):
        path = given.removeprefix("unix:").removeprefix("//")
        if not path:
            raise UsageError(f"{text} does not name a socket", _HINT)
        return Address("http://localhost", str(paths.expanded(path)))
    if "://" not in given:
        given = f"http://{given}"
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise UsageError(f"{text} is not an endpoint", _HINT) from None
    if parts.username or parts.password:
        raise UsageError("an endpoint cannot contain a password", "set HERMES_CLI_API_KEY instead")
    if parts.query or parts.fragment:
        raise UsageError("an endpoint cannot contain ? or #", _HINT)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", given):
        raise UsageError(f"{text} is not an endpoint", _HINT)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    prefix = quote(re.sub(r"/v1/?$", "", parts.path).rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return Address(f"{parts.scheme}://{host}{f':{port}' if port else ''}{prefix}")


def api_key(
    address: Address, variable: str | None = None, file: str | None = None, *, chosen_by_user: bool = True
) -> str | None:
    """The key for a server: from `variable` or `file` if named, else HERMES_CLI_API_KEY.

    HERMES_CLI_API_KEY is only for servers that the user chose, not for those that a preset or a saved session names.
    OPENAI_API_KEY is only for the server it belongs to: OPENAI_BASE_URL or OpenAI itself. Raises UsageError.
    """
    if variable:
        if not os.environ.get(variable):
            raise UsageError(f"the endpoint's key is missing: {variable} is not set", f"export {variable}=...")
        return _checked(os.environ[variable].strip(), variable)
    if file:
        return _checked(read_keys(paths.expanded(file))[0], file)
    if chosen_by_user and (key := os.environ.get("HERMES_CLI_API_KEY", "").strip()):
        return _checked(key, "HERMES_CLI_API_KEY")
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    belongs_to = os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI
    return _checked(key, "OPENAI_API_KEY") if key and parse_address(belongs_to) == address else None


def _checked(key: str, origin: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"the key in {origin} contains characters that a key cannot have", "copy the key again")
    return key


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys in a file that only its owner may read, one per line. Raises UsageError."""
    try:
        status = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read the key file {path}: {why}", f"check it: ls -l {path}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UsageError(f"other users can read the key file {path}", f"chmod 600 {path}")
    keys = tuple(filter(None, map(str.strip, text.splitlines())))
    if not keys:
        raise UsageError(f"the key file {path} is empty", "write a key into it, on a line of its own")
    return keys
