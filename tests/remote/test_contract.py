"""The contract of every backend, over a real llama-server in raw mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from tests.backend_contract import BackendContract, OpenNew
from tests.remote.llama_server import llama_server


@pytest.fixture(scope="module")
def server_url(demo_path: Path) -> Iterator[str]:
    with llama_server(demo_path, 3072) as url:
        yield url


@pytest.fixture(scope="module")
def backend(server_url: str) -> Iterator[RemoteBackend]:
    opened = open_remote(EndpointOptions(parse_address(server_url)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[RemoteBackend]:
    with llama_server(endless_path, 3072) as url:
        opened = open_remote(EndpointOptions(parse_address(url)))
        yield opened
        opened.close()


@pytest.fixture
def open_new(server_url: str) -> OpenNew:
    return lambda: open_remote(EndpointOptions(parse_address(server_url)))


class TestRawMode(BackendContract):
    """The contract on the demo model behind llama-server."""
