"""Downloading a model: which files it consists of, whether there is room, and each file in turn."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from hermes_cli.errors import DownloadError
from hermes_cli.gguf.file import check_complete
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile, check_online, credentials, files_of
from hermes_cli.models.download.part_file import check_room, part_bytes
from hermes_cli.models.download.transfer import fetch
from hermes_cli.models.names import CatalogReference, HubReference, Reference, UrlReference, address
from hermes_cli.models.records import Record, record_of, remove_empty, target_path, write_record

_MOST_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Pull:
    """The files to download, and where to put them."""

    wanted: Reference
    source: HubReference | UrlReference
    files: tuple[RemoteFile, ...]
    retries: web.Retries = field(default_factory=web.Retries)

    @property
    def size_bytes(self) -> int | None:
        """All files together; None where a server does not say."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def target(self, file: RemoteFile) -> Path:
        """Where a file goes."""
        return target_path(self.source, file.name)

    @property
    def path(self) -> Path:
        """The file that opens the model."""
        return self.target(self.files[0])


def prepare(wanted: Reference, progress: web.Progress, retries: web.Retries | None = None) -> Pull:
    """Find out which files the model consists of. Raises DownloadError, without a network within seconds."""
    check_online(str(wanted))
    listing, retries = retries or web.Retries(tries=4, silence_s=15), retries or web.Retries()
    if isinstance(wanted, UrlReference):
        return Pull(wanted, wanted, (RemoteFile(wanted.file_name, wanted.url, None, None),), retries)
    if isinstance(wanted, HubReference):
        return Pull(wanted, wanted, files_of(wanted, listing, progress), retries)
    known = wanted.model.file(wanted.quant)
    source = HubReference(wanted.model.repository, None if known.path else wanted.quant, known.path)
    files = files_of(source, listing, progress)
    if known.sha256:
        _check_unchanged(wanted, known.sha256, files[0])
        files = (replace(files[0], sha256=known.sha256), *files[1:])  # a mirror may have none
    return Pull(wanted, source, files, retries)


def run(pull: Pull, progress: web.Progress) -> Pull:
    """Download what is missing. The result is what was downloaded: if the hub got new files meanwhile, those.

    Leaves no empty folder. Raises DownloadError.
    """
    for _ in range(_MOST_CHANGES):
        try:
            _download(pull, progress)
            return pull
        except web.Stale as problem:
            if isinstance(pull.source, UrlReference):
                raise
            changed = prepare(pull.wanted, progress, pull.retries)
            if changed.files == pull.files:
                raise
            progress.note(f"{problem}; the hub has new files: starting again with those")
            pull = changed
        finally:
            remove_empty(pull.path.parent)
    raise DownloadError(f"{pull.path.name} is being changed on the hub", "run the command again later")


def _download(pull: Pull, progress: web.Progress) -> None:
    if pull.size_bytes is not None:  # otherwise it is checked when the server reports it
        here = sum(min(_here(pull.target(file)), file.size_bytes or 0) for file in pull.files)
        check_room(pull.path, pull.size_bytes - here)
    token = credentials() if isinstance(pull.source, HubReference) else None
    for file in pull.files:
        target = pull.target(file)
        record = record_of(target)
        if target.exists() and (record is None or not _same(record, file)):
            raise DownloadError(
                f"{target} exists and is a different file", "move it away, or remove it: hermes models rm"
            )
        if not target.exists():
            _fetch(pull, file, target, token, progress)
        elif record and isinstance(pull.wanted, HubReference) and pull.wanted.is_pinned:
            # Another revision with the same bytes exists: record them under this one.
            write_record(target, replace(record, source=str(pull.wanted)))


def _fetch(pull: Pull, file: RemoteFile, target: Path, token: web.Credentials | None, progress: web.Progress) -> None:
    def verify(part: Path) -> None:
        if not file.sha256:
            check_complete(part, target.name)

    def keep_record(sha256: str, size_bytes: int) -> None:
        write_record(target, Record(str(pull.wanted), file.url, size_bytes, sha256, file.sha256 is not None))

    sha256 = fetch(file, target, token, pull.retries, progress, verify, keep_record)
    if sha256 and not file.sha256:
        progress.note(f"no checksum is published for {target.name}; the downloaded file has SHA-256 {sha256}")


def _same(record: Record, file: RemoteFile) -> bool:
    return record.sha256 == file.sha256 if file.sha256 else address(record.url) == address(file.url)


def _here(target: Path) -> int:
    try:
        return target.stat().st_size
    except OSError:
        return part_bytes(target)


def _check_unchanged(wanted: CatalogReference, sha256: str, file: RemoteFile) -> None:
    """Raise DownloadError where the hub has another checksum than the catalog, whose checksum is trusted."""
    if file.sha256 and file.sha256 != sha256:
        raise DownloadError(
            f"{wanted.model.repository} now has another {file.name} than this version of hermes expects",
            f"update hermes, or download it without that check: hermes pull hf:{wanted.model.repository}/{file.name}",
        )
