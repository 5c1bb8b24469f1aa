"""What `hermes pull` put into the models folder: where a file goes, and the record beside it that says so."""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import OutputError
from hermes_cli.files import in_use, replace_whole
from hermes_cli.models.download.part_file import write_error
from hermes_cli.models.names import HubReference, UrlReference

_LARGEST_RECORD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """Where a file came from. `source` is what to give `hermes pull`; the checksum is that of the bytes that came."""

    source: str
    url: str
    size_bytes: int
    sha256: str
    verified: bool  # against a checksum of the hub or of the catalog


def target_path(wanted: HubReference | UrlReference, name: str) -> Path:
    """Where a file of this source goes: `owner/repository/file` or `host/file` in the models folder."""
    if isinstance(wanted, UrlReference):
        return paths.models_folder() / wanted.host / name
    return paths.models_folder() / wanted.repository / name


def record_of(file: Path) -> Record | None:
    """The record of a file that `hermes pull` made; None for any other."""
    try:
        with _record_path(file).open("rb") as stream:
            known = json.loads(stream.read(_LARGEST_RECORD_BYTES))
        source, url, size, sha256 = known["source"], known["url"], known["size_bytes"], known["sha256"]
        if not (isinstance(source, str) and isinstance(url, str) and isinstance(size, int) and len(sha256) == 64):
            return None
        return Record(source, url, size, str(sha256), known.get("verified") is True)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def write_record(file: Path, record: Record) -> None:
    """Put the record beside `file`, whole or not at all. Raises DownloadError."""
    try:
        replace_whole(_record_path(file), json.dumps(asdict(record), indent=1))
    except OSError as problem:
        raise write_error(file, problem) from problem


def remove(file: Path) -> None:
    """Remove a downloaded file with its record, and the folders that are empty then. Raises OutputError."""
    try:
        file.unlink(missing_ok=True)
        _record_path(file).unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot remove {file}: {problem.strerror}", f"look at it: ls -ld '{file}'") from problem
    remove_empty(file.parent)


def unfinished() -> list[Path]:
    """The partial files of downloads that were stopped; those that go on are left out."""
    return [part for part in sorted(paths.models_folder().rglob("*.[gG][gG][uU][fF].part")) if not in_use(part)]


def remove_unfinished(part: Path) -> None:
    """Remove a partial file and what belongs to it. Raises OutputError."""
    try:
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot remove {part}: {problem.strerror}", f"look at it: ls -ld '{part}'") from problem
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
