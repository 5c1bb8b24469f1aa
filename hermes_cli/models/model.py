"""A model on this machine: its file, what its name says, and where it is from."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from hermes_cli import paths
from hermes_cli.gguf.file import facts_of
from hermes_cli.gguf.quant import quant_of, without_quant
from hermes_cli.values import dataclass

Origin = Literal["bundled", "pulled", "own", "Hugging Face", "LM Studio", "Ollama"]
DEMO_NAME = "demo"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model here. `path` is its only file or the first of its parts; `missing` names parts that are not there.

    `kind` says what a file is that cannot chat: `a vision projector`, `a Git LFS pointer, not the file itself`.
    """

    name: str
    path: Path
    origin: Origin
    repository: str | None = None
    parts: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    kind: str | None = None

    @property
    def quant(self) -> str | None:
        """The quant in its name or in its file's name."""
        return quant_of(self.name) or quant_of(self.path.name)

    @property
    def size_bytes(self) -> int:
        """All parts together; 0 for what cannot be looked at."""
        total = 0
        for part in self.parts:
            with suppress(OSError):
                total += part.stat().st_size
        return total

    @property
    def base_name(self) -> str:
        """The name without its quant, in small letters."""
        return without_quant(self.name).lower().removeprefix("nousresearch_")

    @property
    def is_damaged(self) -> bool:
        """Whether the file is not a GGUF at all: a pointer, a web page, an unfinished download."""
        return self.kind is not None and facts_of(self.path) is None

    @property
    def is_hermes_3(self) -> bool:
        """Whether it is a Hermes 3 by its name, its repository, or what its header says."""
        names = [self.base_name, (self.repository or "").lower().rpartition("/")[2]]
        if self.origin == "Ollama" and (facts := facts_of(self.path)):
            names += [(facts.text(key) or "").lower() for key in ("general.basename", "general.name")]
        return any(re.match(r"hermes[- ]?3", name) for name in names)


def demo_model() -> FoundModel:
    """The small model in the package."""
    return FoundModel(DEMO_NAME, paths.DEMO_MODEL, "bundled", None, (paths.DEMO_MODEL,))
