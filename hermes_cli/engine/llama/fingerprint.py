"""What identifies a build of llama.cpp on a CPU."""

import hashlib
import json

from hermes_cli import paths
from hermes_cli.engine import hardware
from hermes_cli.engine.llama import library

_VERSION = 2  # of the probe


def fingerprint() -> str:
    """A name for this library build on this CPU; another file, processor or probe gives another name."""
    files = sorted(library.folder().glob("*"))
    facts = [_VERSION, str(library.folder()), hardware.cpu_name(), hardware.cpu_flags()]
    facts += [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    demo = paths.DEMO_MODEL.stat()
    return hashlib.sha256(json.dumps([facts, demo.st_size, demo.st_mtime_ns]).encode()).hexdigest()[:32]
