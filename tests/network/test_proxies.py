"""Which proxy a URL is requested through."""

import pytest

from hermes_cli.network.proxies import NETWORK_VARIABLES, proxy_for

PROXY = "http://proxy.corp:3128"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://hub.example/x", (PROXY, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": PROXY}, "http://hub.example/x", None),
        ({"http_proxy": PROXY, "HTTP_PROXY": "http://other"}, "http://hub.example", (PROXY, "http_proxy")),
        ({"ALL_PROXY": "socks5h://p:1080"}, "https://hub.example", ("socks5h://p:1080", "ALL_PROXY")),
        ({"ALL_PROXY": "socks5h://p:1080", "https_proxy": PROXY}, "https://hub.example", (PROXY, "https_proxy")),
        ({"HTTPS_PROXY": "proxy.corp:3128"}, "https://hub.example", (PROXY, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": " "}, "https://hub.example", None),
    ],
)
def test_the_variable_of_the_scheme_goes_before_all_proxy(
    variables: dict[str, str], url: str, expected: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert (found and (found.url, found.variable)) == expected


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://127.0.0.1", "http://127.8.8.8:1", "http://[::1]:80", "http://a.localhost"]
)
def test_this_machine_is_never_asked_for_at_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    ("excluded", "url", "is_direct"),
    [
        ("*", "https://hub.example", True),
        ("hub.example", "https://hub.example", True),
        ("hub.example", "https://cdn.hub.example", True),
        ("hub.example", "https://nothub.example", False),
        (".hub.example", "https://cdn.hub.example", True),
        (".hub.example", "https://hub.example", True),
        ("*.hub.example", "https://cdn.hub.example", True),
        ("a.example, HUB.example", "https://hub.EXAMPLE.", True),
        ("a.example hub.example", "https://hub.example", True),
        ("hub.example:443", "https://hub.example", True),
        ("hub.example:8443", "https://hub.example", False),
        ("10.0.0.0/8", "http://10.1.2.3:8000", True),
        ("10.0.0.0/8", "http://11.1.2.3:8000", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("fd00::/8", "http://[fd00::5]", True),
        ("[fd00::5]:80", "http://[fd00::5]", True),
        ("http://hub.example", "http://hub.example", True),
        (",, ,not a/network,::/", "https://hub.example", False),
    ],
)
def test_no_proxy(excluded: str, url: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", excluded)
    assert (proxy_for(url) is None) == is_direct


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://user:p@ss@proxy.corp:3128")
    assert str(proxy_for("http://hub.example")) == "the proxy http://proxy.corp:3128 (ALL_PROXY)"
