"""What the tests of saved sessions share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli import paths
from tests.saved import folders_in


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Path]:
    """The folder of the sessions, of this test only and not made yet."""
    with folders_in(tmp_path):
        yield paths.sessions_folder()
