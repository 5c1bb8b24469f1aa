"""Models in several files: which names belong together."""

import re

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


def all_parts(name: str) -> list[str]:
    """The files of a model of which `name` is one: itself, or with its siblings `-00001-of-00003` and so on."""
    part = _PART.search(name)
    if not part or not 1 <= int(part[2]) <= 999:
        return [name]
    return [f"{name[: part.start()]}-{number:05}-of-{part[2]}.gguf" for number in range(1, int(part[2]) + 1)]
