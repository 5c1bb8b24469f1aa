"""Facts about a local or remote model, and the memory it needs, from its header alone."""

from dataclasses import dataclass, replace
from pathlib import Path

from hermes_cli.engine.llama.library import knows_architecture
from hermes_cli.engine.load_options import LoadOptions, LoadSettings
from hermes_cli.errors import EngineError
from hermes_cli.gguf.file import model_header
from hermes_cli.gguf.header import Header, whole
from hermes_cli.gguf.kind import kind_of
from hermes_cli.gguf.parts import all_parts
from hermes_cli.machine.context_lengths import USUAL_TOKENS
from hermes_cli.machine.load_plan import LoadPlan, plan_for, this_machine
from hermes_cli.machine.memory_plan import MemoryPlan, estimate
from hermes_cli.models.download.hub import credentials
from hermes_cli.models.download.pull import prepare
from hermes_cli.models.download.remote_header import remote_header
from hermes_cli.models.download.web import Progress
from hermes_cli.models.model import FoundModel
from hermes_cli.models.names import HubReference, Reference


@dataclass(frozen=True, slots=True)
class Inspected:
    """The facts: `place` is a path or URL, `size_bytes` what all parts take on disk, `plans` one per type of cache.

    `here` is how it would be loaded on this machine now, None where it cannot be. `problem` says why a file that is
    not a chat model, or not one for this build, cannot chat; it has no plans.
    """

    name: str
    place: str
    size_bytes: int | None
    header: Header
    plans: tuple[MemoryPlan, ...] = ()
    here: LoadPlan | None = None
    problem: str | None = None


def inspect_file(path: Path) -> Inspected:
    """A file here, with its other parts if it is the first of several. Raises ModelNotFound."""
    header = model_header(path)
    files = [path.with_name(name) for name in all_parts(path.name)]
    size = sum(file.stat().st_size for file in (files if files[0] == path else [path]))
    return _inspected(path.stem, str(path), size, header)


def inspect_found(found: FoundModel) -> Inspected:
    """A model here, under its own name. Raises ModelNotFound."""
    return replace(inspect_file(found.path), name=found.name)


def inspect_remote(wanted: Reference, progress: Progress) -> Inspected:
    """A model elsewhere: only the headers are fetched. Raises DownloadError."""
    pull = prepare(wanted, progress)
    token = credentials() if isinstance(pull.source, HubReference) else None
    header = whole([remote_header(file, token, pull.retries, progress) for file in pull.files])
    return _inspected(Path(pull.files[0].name).stem, pull.files[0].url, pull.size_bytes, header)


def _inspected(name: str, place: str, size_bytes: int | None, header: Header) -> Inspected:
    problem = _problem(header)
    if problem:
        return Inspected(name, place, size_bytes, header, problem=problem)
    length = min(header.own("context_length") or USUAL_TOKENS, USUAL_TOKENS)
    plans = (
        estimate(header, LoadSettings(context_length=length)),
        estimate(header, LoadSettings(context_length=length, kv_type="q8_0", flash_attention=None)),
    )
    try:
        here = plan_for(header, LoadOptions(), this_machine())
    except EngineError:
        here = None
    return Inspected(name, place, size_bytes, header, plans, here)


def _problem(header: Header) -> str | None:
    kind = kind_of(header)
    if kind:
        return f"this is {kind}: it cannot chat"
    try:
        if knows_architecture(header.architecture):
            return None
    except EngineError:  # llama.cpp is not installed
        return None
    return f"the installed llama.cpp does not know the architecture {header.architecture or '(none)'}"
