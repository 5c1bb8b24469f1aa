"""The contract of every backend, over `hermes serve`: the same program on both sides."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from tests.backend_contract import BackendContract, OpenNew
from tests.server.running_server import serving


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with serving() as server:
        yield server.url


@pytest.fixture(scope="module")
def backend(server_url: str) -> Iterator[RemoteBackend]:
    opened = open_remote(EndpointOptions(parse_address(server_url)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[RemoteBackend]:
    with serving(model=str(endless_path)) as server:
        opened = open_remote(EndpointOptions(parse_address(server.url)))
        yield opened
        opened.close()


@pytest.fixture
def open_new(server_url: str) -> OpenNew:
    return lambda: open_remote(EndpointOptions(parse_address(server_url)))


class TestHermesServe(BackendContract):
    """The contract on the demo model."""
