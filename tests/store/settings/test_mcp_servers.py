"""MCP servers in config.toml: what is refused, and how."""

import tomllib

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.store.settings.mcp_servers import servers_in


@pytest.mark.parametrize(
    "text, part",
    [
        ("[servers.a]\ncomand = 'x'", "has no key comand"),
        ("[servers.a]\nargs = ['x']", "needs either command or url"),
        ("[servers.a]\ncommand = 'x'\nurl = 'https://a.example'", "needs either command or url"),
        ("[servers.a]\ncommand = 'x'\nargs = 'y'", "must be a list of texts"),
        ("[servers.a]\ncommand = 'x'\ntimeout = -1", "must be seconds"),
        ("[servers.a]\ncommand = 'x'\nenv = ['A=B']", "cannot have a variable 'A=B'"),
        ('[servers.a]\ncommand = "x\\u0000"', "NUL character"),
        ("[servers.a]\nurl = 'https://a.example'\nheaders = {Authorization = 'Bearer x'}", "secret in the header"),
        ('[servers.a]\nurl = "https://a.example"\nheaders = {"A B" = "x"}', "cannot have a header 'A B'"),
        ('[servers.a]\nurl = "https://a.example"\nheaders = {A = "x\\n"}', "cannot have a header 'A'"),
        ("[servers.a]\nurl = 'http://a.example'", "not encrypted"),
        ("[servers.a]\nurl = 'https://a.example:99999'", "not the URL"),
        ("[servers.'a b']\ncommand = 'x'", "not a table named by letters"),
        ("[servers]\na = 1", "not a table"),
        ("server = 1", "a key other than servers"),
    ],
)
def test_wrong_tables(text: str, part: str) -> None:
    with pytest.raises(UsageError) as problem:
        servers_in(tomllib.loads(text), "config.toml")
    assert part in problem.value.message and "(in config.toml)" in problem.value.message


def test_a_whole_server() -> None:
    text = "[servers.a]\ncommand = 'npx'\nargs = ['-y', 'x']\nenv = ['KEY']\ntimeout = 3\nallow = ['get_*']"
    server = servers_in(tomllib.loads(text), "config.toml")["a"]
    assert (server.address, server.env, server.timeout, server.offers("get_x")) == ("npx -y x", ("KEY",), 3, True)
    assert not server.offers("put_x")


def test_lists_show_no_secrets() -> None:
    text = """
[servers.command]
command = 'x'
args = ['--api-key', 's3cret', '--token=s3cret', 'a=b', '-v', 'y']
[servers.url]
url = 'https://a.example/mcp?token=s3cret'
"""
    servers = servers_in(tomllib.loads(text), "config.toml")
    assert servers["command"].shown_address == "x --api-key ... --token=... a=b -v y"
    assert servers["url"].shown_address == "https://a.example/mcp?..."
