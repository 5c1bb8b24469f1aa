"""The rules of the code, checked in its syntax trees: imports between layers, and sizes."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hermes_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
# The floors, lowest first. A module imports from lower floors and from its own; whatever is not listed is lowest.
FLOORS = (
    ("chat",),
    ("formats", "gguf"),
    ("backend",),
    ("engine", "remote"),
    ("machine", "tools"),
    ("store",),
    ("models",),
    ("session",),
    ("terminal", "server"),
    ("cli",),
    ("__main__",),
)
ONLY_IN = {
    "llama_cpp": ("engine/llama/library.py",),
    "typer": ("cli/",),
    "rich": ("terminal/", "cli/"),
    "prompt_toolkit": ("terminal/", "cli/"),
    "starlette": ("server/",),
    "uvicorn": ("server/",),
    "mcp": ("tools/child/",),
    "docx": ("terminal/attachments/documents.py",),
    "pypdf": ("terminal/attachments/documents.py",),
    "pathspec": ("terminal/attachments/folder.py",),
    "click": (),
}
FOLDER_FILES = 12
COMMAND_FILES = 16  # in cli/, one module per command
MODULE_LINES = 300
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
    """0 for errors, paths and the package itself, then the rooms by their floor."""
    room = parts[0].removesuffix(".py") if parts else ""
    return next((number for number, rooms in enumerate(FLOORS, 1) if room in rooms), 0)


@each_module
def test_modules_import_from_lower_layers_only(path: Path) -> None:
    own = floor(path.relative_to(PACKAGE).parts)
    targets = [name.split(".")[1:] for name in imported(path) if name.split(".")[0] == "hermes_cli"]
    assert [target for target in targets if floor(tuple(target)) > own] == []


@each_module
def test_libraries_are_imported_only_in_their_layers(path: Path) -> None:
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


def test_layer_folders_exist() -> None:
    """Without this the other tests would pass on an empty folder."""
    assert {"chat", "engine", "terminal", "cli"} <= {path.parent.name for path in MODULES}


def module_of(name: str) -> str:
    """The module of this package that holds a dotted name: `hermes_cli.errors.UsageError` is `hermes_cli.errors`."""
    while name and not (PACKAGE.parent / name.replace(".", "/")).with_suffix(".py").is_file():
        if (PACKAGE.parent / name.replace(".", "/") / "__init__.py").is_file():
            return f"{name}.__init__"
        name = name.rpartition(".")[0]
    return name


def test_there_are_no_import_circles() -> None:
    graph = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): {
            module_of(name) for name in imported(path) if name.split(".")[0] == "hermes_cli"
        }
        for path in MODULES
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_folders_have_a_phrase_and_few_files() -> None:
    folders = {path.parent for path in MODULES}
    crowded = {
        str(folder): count
        for folder in folders
        if (count := sum(path.name != "__init__.py" for path in folder.glob("*.py")))
        > (COMMAND_FILES if folder.name == "cli" else FOLDER_FILES)
    }
    assert crowded == {}
