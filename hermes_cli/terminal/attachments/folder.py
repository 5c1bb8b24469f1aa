"""The files in a folder or of a pattern with `**`, without hidden ones and those that .gitignore names."""

import glob
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

ANY_DEPTH = "**"
_RULES = ".gitignore"
_REPOSITORY = ".git"


def files_below(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    """All files in a folder and the folders in it, also folders that cannot be read; no links to folders, no devices.

    `hidden` includes names that begin with a dot.
    """
    top = folder.absolute()
    ignored = Ignored()
    if ignored(top, folder=True):
        ignored = Ignored(top)  # it was given explicitly, so its files are included
    unreadable = list[Path]()
    for place, folders, files in os.walk(top, onerror=lambda error: unreadable.append(Path(error.filename))):
        here = Path(place)
        folders[:] = [name for name in folders if (hidden or name[0] != ".") and not ignored(here / name, folder=True)]
        paths = (here / name for name in files if hidden or name[0] != ".")
        yield from (path for path in paths if _may_be_text(path) and not ignored(path))
    yield from unreadable


def files_matching(pattern: str) -> Iterator[Path]:
    """The files of a pattern with a part `**`, named as the pattern begins.

    Unlike `glob.glob`, it follows no links to folders below the `**`, which may lead back, and skips ignored folders.
    """
    split = pattern.split("/")
    parts = [part for part, after in zip(split, [*split[1:], ""], strict=True) if not part == after == ANY_DEPTH]
    first = parts.index(ANY_DEPTH)
    head, rest = "/".join(parts[:first]), parts[first:]
    hidden = any(part.startswith(".") for part in rest)
    for folder in glob.glob(f"{head}/") if first else [""]:  # noqa: PTH207 - absolute ones too
        top = Path(folder).absolute()
        below = (path.relative_to(top) for path in files_below(top, hidden=hidden))
        yield from (Path(folder) / path for path in below if _matches(path.parts, rest))


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the names of a path are those of a pattern; only a part that begins with a dot matches hidden names."""
    if not parts:
        return not names
    if parts[0] == ANY_DEPTH and _matches(names, parts[1:]):
        return True
    if not names or (names[0].startswith(".") and not parts[0].startswith(".")):
        return False
    if parts[0] == ANY_DEPTH:
        return _matches(names[1:], parts)
    return fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _may_be_text(path: Path) -> bool:
    """Whether `path` is a file, or cannot be read, which is reported; reading a pipe may not end."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 - no errors


class Ignored:
    """Whether git ignores a path, by the .gitignore files of its repository; outside of one, by those above it.

    With `top`, which is absolute, only the files in that folder count.
    """

    def __init__(self, top: Path | None = None) -> None:
        self._top = top
        self._rules = cache(_rules_in)
        self._within = cache(self._is_ignored_folder)

    def __call__(self, path: Path, *, folder: bool = False) -> bool:
        """Whether `path`, which is absolute, or a folder that it is in is ignored."""
        return self._within(path.parent) or self._named(path, folder=folder)

    def _is_ignored_folder(self, folder: Path) -> bool:
        if folder.parent == folder or self._is_top(folder):
            return False
        return self._within(folder.parent) or self._named(folder, folder=True)

    def _named(self, path: Path, *, folder: bool) -> bool:
        """Whether the nearest .gitignore with a rule for `path` ignores it."""
        for above in path.parents:
            if rules := self._rules(above):
                name = f"{path.relative_to(above).as_posix()}{'/' if folder else ''}"
                if (said := rules.check_file(name).include) is not None:
                    return said
            if self._is_top(above):
                break
        return False

    def _is_top(self, folder: Path) -> bool:
        return folder == self._top or os.path.exists(folder / _REPOSITORY)  # noqa: PTH110 - no errors


def _rules_in(folder: Path) -> "GitIgnoreSpec | None":
    """The rules of a folder's .gitignore, if it has one."""
    try:
        lines = (folder / _RULES).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)
