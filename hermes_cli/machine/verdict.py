"""What a test of the installed llama.cpp found."""

from dataclasses import field

from hermes_cli.values import dataclass

TIMEOUT_S = 20.0  # for one child process


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be used: repacked or AMX weights (`extra_buffers`) and the GPU (None: this build has none)."""

    extra_buffers: bool
    gpu: bool | None
    failures: dict[str, str] = field(default_factory=dict)
    expires: float | None = (
        None  # seconds since the epoch; a timeout or full memory may have other causes than the library
    )
