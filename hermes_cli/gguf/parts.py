"""Models in several files: which names belong together."""

import re

_PART = re.compile(r"-(\d{5})-of-(\d{5})(\.gguf)?$", re.IGNORECASE)


def all_parts(name: str) -> list[str]:
    """The files of a model of which `name` is one: itself, or with its siblings `-00001-of-00003` and so on."""
    part = _PART.search(name)
    if not part or not part[3] or not 1 <= int(part[2]) <= 999:
        return [name]
    return [f"{name[: part.start()]}-{number:05}-of-{part[2]}.gguf" for number in range(1, int(part[2]) + 1)]


def is_later_part(name: str) -> bool:
    """Whether a file is the second or a later part of a model."""
    part = _PART.search(name)
    return bool(part) and int(part[1] if part else 1) != 1


def without_part(name: str) -> str:
    """A name without its `-00001-of-00003`; the ending `.gguf` stays."""
    return _PART.sub(lambda part: part[3] or "", name)
