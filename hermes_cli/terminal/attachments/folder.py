"""The files in a folder, without hidden ones and those that .gitignore names."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_RULES = ".gitignore"
_REPOSITORY = ".git"


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it, sorted; links to folders are not followed."""
    top = folder.absolute()
    ignored, found = Ignored(), list[Path]()
    if ignored(top, folder=True):
        ignored = Ignored(top)  # it was named, so what is in it is wanted
    for place, folders, files in os.walk(top):
        here = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".") and not ignored(here / name, folder=True)]
        paths = (here / name for name in files if not name.startswith("."))
        found += [path for path in paths if (path.is_file() or path.is_symlink()) and not ignored(path)]
    return sorted(found)


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
        return folder == self._top or (folder / _REPOSITORY).exists()


def _rules_in(folder: Path) -> "GitIgnoreSpec | None":
    """The rules of a folder's .gitignore, if it has one."""
    try:
        lines = (folder / _RULES).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)
