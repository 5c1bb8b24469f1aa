"""An MCP server as the user defines it: by a name in the settings, a command or a URL."""

import os
import re
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.network.proxies import is_loopback

_START_S, _DOWNLOAD_S = 15.0, 90.0
_DOWNLOADERS = ("npx", "bunx", "pnpm", "uvx", "uv", "pipx", "deno", "docker", "podman")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LONGEST_NAME = 40
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{_LONGEST_NAME - 1}}}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~A-Za-z0-9-]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_QUERY = re.compile(r"\?.*", re.DOTALL)
_SECRET = re.compile(r"authorization|cookie|token|secret|key|password", re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"((?:{_SECRET.pattern})[^=:]*[=:]\s*).+", re.IGNORECASE | re.DOTALL)
_FIX = "fix it: hermes config edit"
_CONFIGURED = "list those that are: hermes mcp list"
_CONFIGURE = "give a name from hermes mcp list, a command in quotes, or a URL with https://"


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server: a command with arguments, or a URL with headers.

    `env` names the variables it may see. A header takes `${NAME}` from the environment. `allow`, `deny` and
    `read_only` hold names of tools, or patterns such as `get_*`; those in `read_only` run without a question.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None  # seconds of a call
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The command line or the URL."""
        return self.url or shlex.join((self.command or "", *self.args))

    @property
    def shown_address(self) -> str:
        """The address for lists and reports, with what may be a secret replaced by dots."""
        if self.url:
            return _QUERY.sub("?...", self.url)
        shown, hide = [self.command or ""], False
        for word in self.args:
            shown.append("..." if hide else _SECRET_VALUE.sub(r"\1...", word))
            hide = word.startswith("-") and "=" not in word and looks_secret(word)
        return shlex.join(shown)

    @property
    def start_s(self) -> float:
        """The time it may take to start. An npx that is ended while it downloads leaves a broken cache."""
        return _DOWNLOAD_S if (self.command or "").rpartition("/")[2] in _DOWNLOADERS else _START_S

    def offers(self, tool: str) -> bool:
        """Whether the model may be given this tool."""
        return (not self.allow or matches(tool, self.allow)) and not matches(tool, self.deny)

    def check(self) -> None:
        """Raise UsageError for a definition that cannot be used."""
        if bool(self.command) == bool(self.url):
            raise UsageError(f"the MCP server {self.name} needs either command or url", _FIX)
        if self.url:
            _check_url(self.url)
        if "\0" in "".join((self.command or "", *self.args)):
            raise UsageError(f"the MCP server {self.name} has a NUL character in its command", _FIX)
        for variable in self.env:
            if not _VARIABLE_NAME.fullmatch(variable):
                raise UsageError(f"the MCP server {self.name} cannot have a variable {variable!r}", _FIX)
        self._check_headers()

    def _check_headers(self) -> None:
        for header, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(header) or not value.isprintable():
                raise UsageError(f"the MCP server {self.name} cannot have a header {header!r}", _FIX)
            if _SECRET.search(header) and not _REFERENCE.search(value):
                raise UsageError(
                    f"the MCP server {self.name} has a secret in the header {header}",
                    f'take it from the environment: {header} = "${{NAME}}"',
                )

    def missing(self) -> str:
        """What keeps it from starting, as far as it can be seen without starting it; empty if nothing does."""
        if self.command and shutil.which(self.command) is None:
            return f"there is no program {self.command}"
        try:
            self.variables()
            self.sent_headers()
        except UsageError as problem:
            return problem.message
        return ""

    def variables(self) -> dict[str, str]:
        """The variables it gets in addition to the usual ones. Raises UsageError for one that is not set."""
        return {name: self._value(name) for name in self.env}

    def sent_headers(self) -> dict[str, str]:
        """The headers with values from the environment. Raises UsageError for a variable that is not set."""
        return {name: _REFERENCE.sub(lambda found: self._value(found[1]), text) for name, text in self.headers.items()}

    def _value(self, variable: str) -> str:
        if variable not in os.environ:
            raise UsageError(f"{self.name} needs the variable {variable}", f"set it first: export {variable}=...")
        return os.environ[variable]


def looks_secret(text: str) -> bool:
    """Whether an argument or an address seems to hold a token or a password."""
    return _SECRET.search(text) is not None


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether one of the names or patterns fits."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def find_servers(
    named: Sequence[str], servers: Mapping[str, McpServer], variables: Sequence[str] = ()
) -> list[McpServer]:
    """The servers that `--mcp` names; those given as a command may see `variables`. Raises UsageError."""
    found: dict[str, McpServer] = {}
    for text in dict.fromkeys(named):
        server = servers.get(text) or _unnamed(text, servers, variables)
        server.check()
        number = 2
        while (name := server.name if server.name not in found else f"{server.name}{number}") in found:
            number += 1
        found[name] = replace(server, name=name)
    return list(found.values())


def configured_server(name: str, servers: Mapping[str, McpServer]) -> McpServer:
    """The server of that name. Raises UsageError."""
    if name not in servers:
        raise UsageError(f"no MCP server {name} is configured", did_you_mean(name, servers, _CONFIGURED))
    return servers[name]


def saved_name(text: str) -> str:
    """The name that a session saves for what `--mcp` was given: commands and URLs may hold secrets."""
    if _URL.match(text):
        return _short_name(urlsplit(text).hostname or "server")
    words = text.split()
    return text if NAME.fullmatch(text) else _name_of(words) if words else "server"


def saved_servers(names: Sequence[str], known: Collection[str]) -> tuple[tuple[str, ...], list[str]]:
    """Of the servers that a session saved by name those that are `known`, and a note on each other.

    A session's file may come from elsewhere, so that nothing in it is started that the user did not define.
    """
    by_name = {saved_name(text): text for text in known}
    found = tuple(by_name[name] for name in names if name in by_name)
    notes = [
        f"this session used the MCP server {name[:60]}, which is not configured; give it again with --mcp"
        for name in names
        if name not in by_name
    ]
    return found, notes


def _unnamed(text: str, servers: Mapping[str, McpServer], variables: Sequence[str]) -> McpServer:
    if _URL.match(text):
        _check_url(text)
        return McpServer(_short_name(urlsplit(text).hostname or "server"), url=text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--mcp {text} is not a command: {error}", 'quote it like "uvx mcp-server-time"') from error
    if not words or (len(words) == 1 and shutil.which(os.path.expanduser(words[0])) is None):  # noqa: PTH111
        raise UsageError(f"there is no MCP server {text}", did_you_mean(text, servers, _CONFIGURE))
    return McpServer(_name_of(words), os.path.expanduser(words[0]), tuple(words[1:]), tuple(variables))  # noqa: PTH111


def _name_of(words: Sequence[str]) -> str:
    """A name for a command: of the module or package it runs, else of the program."""
    runners = ("python", "node", "npx", "uvx", "uv", "docker", "deno", "bunx")
    program = words[0].rpartition("/")[2]
    if program.startswith(runners):
        for word in words[1:]:
            if not word.startswith("-") and word not in ("run", "tool"):
                return _short_name(word.rstrip("/").rpartition("/")[2])
    return _short_name(program)


def _short_name(text: str) -> str:
    stem = re.sub(r"\.(py|js|ts|mjs)$|@[0-9a-z.]+$", "", text)
    stem = re.sub(r"^(mcp[-_])?server[-_]|[-_](mcp[-_])?server$", "", stem)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:_LONGEST_NAME] or "server"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{url} is not the URL of an MCP server", "write it like https://example.org/mcp")
    if parts.username or parts.password:
        raise UsageError("the URL of an MCP server cannot contain a password", "set a header: docs/mcp.md")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{url} is not encrypted", "use https; http is only for servers on this machine")
