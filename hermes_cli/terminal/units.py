"""Sizes and ages as people write them."""

import re
from datetime import timedelta

from hermes_cli.errors import UsageError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


_SECONDS = {"s": 1, "m": 60, "h": 3600}
_AGES = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 365}


def size_text(count: int) -> str:
    """A number of bytes for people: `812 B`, `3.4 kB`, `1.2 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def bytes_from(option: str, text: str) -> int:
    """The bytes in `500MB`, `1.5 GiB` or `800`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    if not found or found[2].upper() not in _UNITS:
        raise UsageError(f"{option} {text} is not a size", f"for example: {option} 500MB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def age_from(option: str, text: str) -> timedelta:
    """The time in `30d`, `12h`, `2w` or `1y`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,4})\s*([hdwy])\s*", text, re.ASCII)
    if not found:
        raise UsageError(f"{option} {text} is not an age", f"for example: {option} 30d; units are h, d, w and y")
    return timedelta(hours=int(found[1]) * _AGES[found[2]])


def seconds_from(option: str, text: str) -> float:
    """The seconds in `90s`, `10m` or `1h`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([smh])\s*", text, re.ASCII)
    if not found or not float(found[1]):
        raise UsageError(f"{option} {text} is not a time", f"write it like {option} 10m, with s, m or h")
    return float(found[1]) * _SECONDS[found[2]]
