"""Shared by all tests: private folders, the demo model, a backend on it, and the real program as a child.

Nothing here or below touches the user's folders. The library probe runs once for real and is remembered in them.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

import hermes_cli
from benchmarks.endless_model import endless_copy
from hermes_cli import paths
from hermes_cli.engine.llama import library
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend

pytest.register_assert_rewrite("tests.backend_contract")
settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")

_UNPRIVILEGED = 65534
PACKAGE_PARENT = Path(hermes_cli.__file__).parents[1]
_NOT_TAKEN = ("HF_", "OLLAMA_", "HUGGING", "TRANSFORMERS_OFFLINE", "SSL_CERT_", "XDG_")
_USERS_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "EDITOR", "VISUAL")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Private folders and no settings from outside, for this process and its children."""
    with pytest.MonkeyPatch.context() as environment:
        for name in (*os.environ, *_USERS_VARIABLES):
            if name in _USERS_VARIABLES or (name.startswith("HERMES_CLI_") and name != "HERMES_CLI_TEST_MODEL"):
                environment.delenv(name, raising=False)
        environment.setenv("HERMES_CLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        environment.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        environment.setenv("HERMES_CLI_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        # Children that compile every module again take twice as long to start.
        environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        # No models of other programs, no token, no other hub, and no proxy.
        for name in [name for name in os.environ if name.startswith(_NOT_TAKEN) or name.lower().endswith("_proxy")]:
            environment.delenv(name)
        for name in ("HF_HOME", "OLLAMA_MODELS", "HOME"):
            environment.setenv(name, str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def own_files(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, presets, models and sessions of each test alone, so that no test sees what another one saved."""
    for name in ("CONFIG", "DATA"):
        monkeypatch.setenv(f"HERMES_CLI_{name}_DIR", str(tmp_path_factory.mktemp(name.lower())))


@pytest.fixture(scope="session", autouse=True)
def ordinary_signals() -> None:
    """Reset signals that the parent of the tests ignores: they would stay ignored in every child."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of an unprivileged user, as whom this process runs meanwhile: root can read and write everything."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, _UNPRIVILEGED, _UNPRIVILEGED)
        os.seteuid(_UNPRIVILEGED)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def demo_path() -> Path:
    """The GGUF of the demo model in the package."""
    return paths.DEMO_MODEL


@pytest.fixture(scope="module")
def backend(demo_path: Path) -> Iterator[LocalBackend]:
    """The open demo model, shared with its cache by the tests of a module."""
    with open_backend(demo_path, LoadSettings(context_length=2048)) as opened:
        yield opened


class Result:
    """The result of a run. If a test never reads `err`, stderr must be empty."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self._err = code, out, err
        self.err_was_read = False

    @property
    def err(self) -> str:
        """Everything on stderr."""
        self.err_was_read = True
        return self._err

    def __repr__(self) -> str:
        return f"Result(code={self.code}, out={self.out!r}, err={self._err!r})"


class Hermes(Protocol):
    """Runs `hermes` with `args` to its end. `stdin` is piped in, None means there is none; `env` changes variables."""

    def __call__(
        self,
        *args: str | Path,
        stdin: bytes | str | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 60,
    ) -> Result: ...


def child_environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The environment of a child that finds the same hermes_cli from any folder; None removes a variable."""
    merged = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def hermes_command(*args: str | Path) -> list[str]:
    """The command line that starts the real program; like the installed script it does not import from where it is."""
    return [sys.executable, "-P", "-m", "hermes_cli", *map(str, args)]


@pytest.fixture
def hermes() -> Iterator[Hermes]:
    """Runs the real program. At the end of the test, every stderr that was not read must be empty."""
    results: list[Result] = []

    def run(
        *args: str | Path,
        stdin: bytes | str | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 60,
    ) -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with subprocess.Popen(
            hermes_command(*args),
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(env),
            cwd=cwd,
        ) as child:
            try:
                out, err = child.communicate(data, timeout_s)
            except BaseException:
                child.kill()
                raise
        results.append(Result(child.returncode, out, err.decode("utf-8", "replace")))
        return results[-1]

    yield run
    noisy = [result for result in results if not result.err_was_read and result.err]
    assert not noisy, f"stderr must be empty where a test does not read it: {noisy}"


class Script(Protocol):
    """Runs Python code that may break; `env` adds variables. `code` of the result is negative after a native crash."""

    def __call__(
        self, code: str, *args: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> Result: ...


@pytest.fixture
def script() -> Script:
    """Runs Python code in a child process, where a native crash does no harm; stderr is not checked."""

    def run(code: str, *args: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 60) -> Result:
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
        child = subprocess.run(command, capture_output=True, env=child_environment(env), timeout=timeout_s, check=False)
        return Result(child.returncode, child.stdout, child.stderr.decode("utf-8", "replace"))

    return run


BrokenLibrary = Callable[..., Path]


@pytest.fixture
def broken_library(tmp_path: Path) -> BrokenLibrary:
    """Makes a folder for LLAMA_CPP_LIB_PATH whose library has the faults named, as macros of broken_library.c."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or library.folder().joinpath("libllama.so.0").exists() is False:
        pytest.skip("needs a C compiler and the shared libraries of Linux")
    bindings = library.bindings()
    params = bindings.llama_model_params

    def build(*faults: str) -> Path:
        folder = tmp_path / "-".join(("lib", *faults)).lower()
        folder.mkdir()
        real = library.folder().absolute()
        subprocess.run(
            [
                *(compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", *(f"-D{fault}" for fault in faults)),
                *(f"-DPARAMS_BYTES={ctypes.sizeof(params)}", f"-DEXTRA_AT={params.use_extra_bufts.offset}"),
                f"-DBATCH_BYTES={ctypes.sizeof(bindings.llama_batch)}",
                *("-o", str(folder / "libllama.so"), str(Path(__file__).with_name("broken_library.c"))),
                *(f"-L{real}", "-Wl,--no-as-needed", "-l:libllama.so.0", f"-Wl,-rpath,{real}"),
                f"-Wl,-rpath-link,{real}",
            ],
            check=True,
        )
        return folder

    return build


@pytest.fixture(scope="session")
def endless_path(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo model that never ends its turn."""
    return endless_copy(demo_path, tmp_path_factory.mktemp("endless") / "endless.gguf")
