"""Selects the proxy for a URL, by the same variables as curl and most other programs."""

import ipaddress
import os
import re
from urllib.parse import urlsplit

from hermes_cli.values import dataclass

# Everything in the environment that decides how the network is reached.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
NETWORK_VARIABLES = (*_PROXIES, *map(str.upper, _PROXIES), *CERTIFICATE_VARIABLES)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, with the user name and password in its URL, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        shown = re.sub(r"^([a-z0-9+.-]*://)?[^/]*@", r"\1", self.url, flags=re.IGNORECASE)
        return f"the proxy {shown} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """The proxy for an http or https URL; None where the server is connected to directly, as on this machine."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if is_loopback(host) or _is_excluded(host, parts.port or (443 if parts.scheme == "https" else 80)):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := os.environ.get(variable, "").strip():
                return Proxy(value if "://" in value else f"http://{value}", variable)
    return _system_proxy(parts.scheme, host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _system_proxy(scheme: str, host: str) -> Proxy | None:
    """The proxy of the system's settings, on macOS and Windows, where no variable names one."""
    from urllib.request import getproxies, proxy_bypass

    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return None
    found = getproxies()
    url = found.get(scheme) or found.get("all")
    return Proxy(url, "the system's settings") if url and not proxy_bypass(host) else None


def _is_excluded(host: str, port: int) -> bool:
    """Whether NO_PROXY names the host: `*`, a domain with all below it, an address, a network; perhaps with a port."""
    address = _address(host)
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for entry in re.split(r"[\s,]+", listed.lower()):
        name, entry_port = _without_port(entry)
        if entry_port not in (None, port):
            continue
        if name == "*" or (address and _network_holds(name, address)):
            return True
        domain = name.removeprefix("*").strip(".")
        if domain and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


def _without_port(entry: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(?:[a-z]+://)?(\[[^]]+\]|[^:]+):(\d+)", entry)
    name, port = (found[1], int(found[2])) if found else (re.sub(r"^[a-z]+://", "", entry), None)
    return name.strip("[]"), port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _network_holds(name: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
