"""The model's own chat templates, and a plain rendering of any template the way Hugging Face does it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")


def _tojson(value: object, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(reason: str) -> None:
    raise ValueError(reason)


@pytest.fixture(scope="session")
def reference() -> Callable[[str], str]:
    """The text of a template as it is published, newlines included."""
    folder = Path(__file__).parent / "reference"
    return lambda name: (folder / name).read_bytes().decode()


@pytest.fixture(scope="session")
def hugging_face() -> Callable[..., str]:
    """A template's rendering for the given variables, as one string without any protection."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception

    def render(source: str, **variables: Any) -> str:
        return environment.from_string(source).render(**variables)

    return render
