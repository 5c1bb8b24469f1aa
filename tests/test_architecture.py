"""The house rules of the code, read from its syntax trees: who may import whom, and how long a piece may get."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hermes_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
# A room imports from the rooms before it; everything else lies below them all.
ROOMS = (
    "chat",
    "formats",
    "engine",
    "models",
    "tools",
    "store",
    "turn_loop",
    "summary",
    "session",
    "terminal",
    "cli",
    "__main__",
)
ONLY_IN = {
    "llama_cpp": ("engine/native.py",),
    "typer": ("cli/",),
    "rich": ("terminal/", "cli/"),
    "prompt_toolkit": ("terminal/", "cli/"),
    "click": (),
}
MODULE_LINES = 350
BODY_LINES = 60

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """The full dotted names a module imports, wherever in it the statement stands; no import is relative."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(parts: tuple[str, ...]) -> int:
    """0 for errors, paths and the package itself, then the rooms in their order."""
    room = parts[0].removesuffix(".py") if parts else ""
    return ROOMS.index(room) + 1 if room in ROOMS else 0


@each_module
def test_imports_go_downward_only(path: Path) -> None:
    own = floor(path.relative_to(PACKAGE).parts)
    targets = [name.split(".")[1:] for name in imported(path) if name.split(".")[0] == "hermes_cli"]
    assert [target for target in targets if floor(tuple(target)) > own] == []


@each_module
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    roots = {name.split(".")[0] for name in imported(path)}
    # A module's name in a string is an import too, by importlib.
    strings = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
    roots |= {text.split(".")[0] for text in strings if isinstance(text, str) and text.split(".")[0] == "llama_cpp"}
    assert [name for name in roots & set(ONLY_IN) if not place.startswith(ONLY_IN[name])] == []


@each_module
def test_modules_say_what_they_are_for_and_stay_short(path: Path) -> None:
    assert ast.get_docstring(tree(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@each_module
def test_functions_stay_short(path: Path) -> None:
    """The body counts, not the signature: a command's signature is a table of its options."""
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node.name, (node.end_lineno or 0) - node.body[0].lineno + 1) for node in functions]
    assert [(name, length) for name, length in lengths if length > BODY_LINES] == []


def test_the_rooms_are_there() -> None:
    """Without this the other tests would pass on an empty folder."""
    assert {"chat", "engine", "terminal", "cli"} <= {path.parent.name for path in MODULES}
