"""The models folder: where `hermes pull` stores a file, with a record of its source."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import OutputError
from hermes_cli.files import check_hint, in_use, read_record, write_json
from hermes_cli.models.download.part_file import write_error
from hermes_cli.models.names import HubReference, UrlReference


@dataclass(frozen=True, slots=True)
class Record:
    """Where a file came from. `source` is what to give `hermes pull`; the checksum is that of the bytes that came."""

    source: str
    url: str
    size_bytes: int
    sha256: str
    verified: bool = False  # against a checksum of the hub or of the catalog


def target_path(wanted: HubReference | UrlReference, name: str) -> Path:
    """Where a file of this source goes: `owner/repository/file` or `host/file` in the models folder."""
    if isinstance(wanted, UrlReference):
        return paths.models_folder() / wanted.host / name
    return paths.models_folder() / wanted.repository / name


def record_of(file: Path) -> Record | None:
    """The record of a file that `hermes pull` made; None for any other."""
    record = read_record(_record_path(file), Record)
    return record if record and len(record.sha256) == 64 else None


def write_record(file: Path, record: Record) -> None:
    """Write the record of `file` atomically. Raises DownloadError."""
    try:
        write_json(_record_path(file), record)
    except OSError as problem:
        raise write_error(file, problem) from problem


def remove(file: Path) -> None:
    """Remove a downloaded file with its record, and the folders that are empty then. Raises OutputError."""
    try:
        file.unlink(missing_ok=True)
        _record_path(file).unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot remove {file}: {problem.strerror}", check_hint(file)) from problem
    remove_empty(file.parent)


def unfinished() -> list[Path]:
    """The partial files of stopped downloads, without those that are in progress."""
    return [part for part in sorted(paths.models_folder().rglob("*.[gG][gG][uU][fF].part")) if not in_use(part)]


def remove_unfinished(part: Path) -> None:
    """Remove a partial file and what belongs to it. Raises OutputError."""
    try:
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot remove {part}: {problem.strerror}", check_hint(part)) from problem
    remove_empty(part.parent)


def remove_empty(folder: Path) -> None:
    """Remove a folder below the models folder, and those above it, as far as they are empty."""
    root = paths.models_folder()
    with suppress(OSError):
        while root in folder.parents:
            folder.rmdir()
            folder = folder.parent


def _record_path(file: Path) -> Path:
    return file.with_name(f".{re.sub('[.]gguf$', '', file.name, flags=re.IGNORECASE)}.json")
