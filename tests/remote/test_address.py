"""Endpoints as people write them, and which key is sent to which."""

from pathlib import Path

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.remote.address import Address, api_key, parse_address


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000"),
        ("https://host.example/api/v1", "https://host.example/api"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("10.0.0.2:11434/", "http://10.0.0.2:11434"),
        ("localhost:8000/ä%20b/v1", "http://localhost:8000/%C3%A4%20b"),
    ],
)
def test_addresses(text: str, base: str) -> None:
    assert parse_address(text) == Address(base)


def test_a_unix_socket() -> None:
    assert parse_address("unix:/run/hermes.sock") == Address("http://localhost", "/run/hermes.sock")


@pytest.mark.parametrize("text", ["", "ftp://host", "http://", "unix:", "a b", "host:notaport", "http://me:pw@host"])
def test_what_is_not_an_endpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize(("text", "local"), [("127.0.0.5:1", True), ("[::1]:1", True), ("example.org", False)])
def test_loopback(text: str, local: bool) -> None:
    assert parse_address(text).is_local is local


def test_the_openai_key_goes_only_to_its_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert api_key(parse_address("https://api.openai.com/v1")) == "sk-1"
    assert api_key(parse_address("http://elsewhere:8000")) is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere:8000/v1")
    assert api_key(parse_address("http://elsewhere:8000")) == "sk-1"
    assert api_key(parse_address("https://api.openai.com")) is None


def test_a_named_variable_must_be_set() -> None:
    with pytest.raises(UsageError, match="WORK_KEY is not set"):
        api_key(parse_address("host:1"), variable="WORK_KEY")


def test_a_key_file_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="other users can read"):
        api_key(parse_address("host:1"), file=str(file))
    file.chmod(0o600)
    assert api_key(parse_address("host:1"), file=str(file)) == "secret"
