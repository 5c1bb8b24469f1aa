"""What a model is and takes, from its headers alone: here, on the hub or at a URL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_cli.engine.context_length import DEFAULT_TOKENS
from hermes_cli.models.found_models import FoundModel
from hermes_cli.models.gguf_file import header_of, remote_header
from hermes_cli.models.gguf_header import Header
from hermes_cli.models.hub import credentials
from hermes_cli.models.memory_plan import MemoryPlan, plan
from hermes_cli.models.patience import Watcher
from hermes_cli.models.pull import prepare
from hermes_cli.models.reference import HubReference, Reference, all_parts


@dataclass(frozen=True, slots=True)
class Inspected:
    """The facts: `place` is a path or URL, `size_bytes` what all parts take on disk, `plans` one per type of cache."""

    name: str
    place: str
    size_bytes: int | None
    part_count: int
    header: Header
    plans: tuple[MemoryPlan, ...]


def inspect_file(path: Path) -> Inspected:
    """A file here, with its other parts if it is the first of several. Raises ModelNotFound."""
    files = [path.with_name(name) for name in all_parts(path.name)] if all_parts(path.name)[0] == path.name else [path]
    headers = [header_of(file) for file in files]
    size = sum(file.stat().st_size for file in files)
    return _inspected(path.stem, str(path), size, headers)


def inspect_found(found: FoundModel) -> Inspected:
    """A model here, under its own name. Raises ModelNotFound."""
    return replace(inspect_file(found.path), name=found.name)


def inspect_remote(wanted: Reference, watcher: Watcher) -> Inspected:
    """A model elsewhere: only the headers are fetched. Raises DownloadError."""
    pull = prepare(wanted, watcher)
    token = credentials() if isinstance(pull.source, HubReference) else None
    headers = [remote_header(file, token, pull.patience, watcher) for file in pull.files]
    return _inspected(Path(pull.files[0].name).stem, pull.files[0].url, pull.size_bytes, headers)


def _inspected(name: str, place: str, size_bytes: int | None, headers: Sequence[Header]) -> Inspected:
    """The first header has the values, all together have the tensors."""
    whole = replace(
        headers[0],
        tensor_count=sum(header.tensor_count for header in headers),
        parameters=sum(header.parameters for header in headers),
        weights_bytes=sum(header.weights_bytes for header in headers),
    )
    window = min(whole.own("context_length") or DEFAULT_TOKENS, DEFAULT_TOKENS)
    plans = (plan(whole, window, "f16"), plan(whole, window, "q8_0"))
    return Inspected(name, place, size_bytes, len(headers), whole, plans)
