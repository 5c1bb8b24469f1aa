"""The built-in tool fetch_url: the text of a web page. It asks for consent, because a request reveals something.

Private addresses are refused, also behind a name or a redirect, except the hosts of `fetch_url:HOST,HOST`.
"""

import ipaddress
import os

from hermes_cli.network.page import fetch

_MOST_BYTES = 2_000_000
_ALLOWED = {host for host in os.environ.get("HERMES_CLI_TOOL_SETTING", "").lower().split(",") if host}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IN_USE = ipaddress.IPv6Network("2000::/3")  # the only IPv6 addresses that are assigned
_PRIVATE_DOMAINS = (
    "local",
    "localhost",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "arpa",
)


def fetch_url(url: str) -> str:
    """Fetch a web page or text file and return its text.

    Args:
        url: The address; begins with https:// or http://.
    """
    headers = {"User-Agent": "hermes-cli fetch_url"}
    return fetch(url, most_bytes=_MOST_BYTES, check_address=_check_address, headers=headers).text


def _check_address(host: str, address: str | None) -> None:
    """Raise NetworkProblem for a private address; for a name that only the proxy can look up, judge by the name."""
    from hermes_cli.network.problem import NetworkProblem

    if host.lower() in _ALLOWED:
        return
    if address is None and ("." not in host or host.lower().rpartition(".")[2] in _PRIVATE_DOMAINS):
        raise NetworkProblem("address", f"{host} is a private name; allow it with fetch_url:{host}")
    if address is not None and not _is_public(address):
        raise NetworkProblem("address", f"{host} has the private address {address}; allow it with fetch_url:{host}")


def _is_public(text: str) -> bool:
    """Whether an address is on the public internet; an IPv4 address inside an IPv6 one is checked too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if (inner is not None and not _is_public(str(inner))) or not (address in _IN_USE or address in _NAT64):
            return False
    return address.is_global and not address.is_multicast
