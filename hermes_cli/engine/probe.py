"""Which settings of the installed llama.cpp work on this machine, proved once in child processes.

A build can crash on the very machine that made it: GCC 12 mis-compiles the AMX tile set-up, and then every quantised
model dies with SIGSEGV unless the model parameter `use_extra_bufts` is off. A wheel for another CPU dies with SIGILL,
a broken driver hangs. So a child answers one question with the bundled demo model; a crash, a wrong answer or
silence rules the setting out. The verdict is remembered per library build and CPU.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hermes_cli import paths
from hermes_cli.engine import hardware, native
from hermes_cli.errors import EngineError

QUESTION = "What is 2 plus 3?"
ANSWER = "2 plus 3 is 5."
TIMEOUT_S = 20.0
_VERSION = 1
_NO_LIBRARY = 3
_CRASHES = {signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be used: repacked or AMX weights (`extra_buffers`) and the GPU (None: this build has none)."""

    extra_buffers: bool
    gpu: bool | None
    failures: dict[str, str] = field(default_factory=dict)


def verdict(timeout_s: float = TIMEOUT_S) -> Verdict:
    """The remembered verdict for this library and CPU, else a new one (about half a second). Raises EngineError."""
    key = fingerprint()
    remembered = _read()
    if key not in remembered:
        remembered[key] = asdict(_prove(timeout_s))
        _write(remembered)
    return Verdict(**remembered[key])


def forget() -> None:
    """Drop all verdicts, so that the next use proves the library again."""
    paths.probe_file().unlink(missing_ok=True)


def fingerprint() -> str:
    """Names this library build on this CPU: any new file, other processor or other probe gives another name."""
    files = sorted(native.library_folder().glob("*"))
    facts = [_VERSION, str(native.library_folder()), hardware.cpu_name(), hardware.cpu_flags()]
    facts += [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    demo = paths.DEMO_MODEL.stat()
    return hashlib.sha256(json.dumps([facts, demo.st_size, demo.st_mtime_ns]).encode()).hexdigest()[:32]


def _prove(timeout_s: float) -> Verdict:
    """Try the fast setting, then the safe one, then the GPU with whichever worked."""
    failures: dict[str, str] = {}
    for extra_buffers in (True, False):
        reason, has_gpu = _try(timeout_s, extra_buffers=extra_buffers, gpu=False)
        if reason is None:
            break
        failures["extra_buffers" if extra_buffers else "cpu"] = reason
    else:
        raise EngineError(
            f"the installed llama.cpp does not work on this machine: {reason}",
            f"rebuild it here: pip install --force-reinstall --no-cache-dir '{native.REQUIREMENT}'",
        )
    gpu: bool | None = None
    if has_gpu:
        reason, _ = _try(timeout_s, extra_buffers=extra_buffers, gpu=True)
        gpu = reason is None
        if reason is not None:
            failures["gpu"] = reason
    return Verdict(extra_buffers=extra_buffers, gpu=gpu, failures=failures)


def _try(timeout_s: float, *, extra_buffers: bool, gpu: bool) -> tuple[str | None, bool]:
    """Why a child with these settings failed, None if it did not; and whether it found a GPU."""
    # -P: a file in the working folder must not be able to take the place of a module.
    command = [sys.executable, "-P", "-m", "hermes_cli.engine.probe", str(int(extra_buffers)), str(int(gpu))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # a Ctrl-C at the terminal is no verdict on the library
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout_s:.0f} s", False
    if child.returncode < 0:
        return f"killed by {_crash_name(-child.returncode)}", False
    output = child.stdout.decode("utf-8", "replace")
    said = child.stderr.decode("utf-8", "replace").strip().splitlines()
    if child.returncode == _NO_LIBRARY:
        raise EngineError(*said[-2:])
    if child.returncode:
        return (said or ["unknown error"])[-1], False
    has_gpu, _, answer = output.partition("\n")
    return (None if answer == ANSWER else f"a wrong answer: {answer!r}"), has_gpu == "gpu"


def _crash_name(number: int) -> str:
    """The signal of a crash. Raises EngineError for one that somebody sent: that says nothing about the library."""
    if number not in _CRASHES:
        raise EngineError(f"the check of llama.cpp was stopped by signal {number}", "run the command again")
    return signal.Signals(number).name


def _read() -> dict[str, dict[str, Any]]:
    try:
        verdicts = json.loads(paths.probe_file().read_bytes())
        return {key: value for key, value in verdicts.items() if _is_verdict(value)}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_verdict(value: object) -> bool:
    """Whether `value` is what `_write` wrote; the file may have been changed by hand."""
    match value:
        case {"extra_buffers": bool(), "gpu": bool() | None, "failures": dict(failures), **rest}:
            return not rest and all(isinstance(reason, str) for reason in failures.values())
    return False


def _write(verdicts: dict[str, dict[str, Any]]) -> None:
    """Keep the verdicts; where that is impossible the next start proves again."""
    file = paths.probe_file()
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps(verdicts, indent=1))
        temporary.replace(file)
    except OSError:
        return


def main(arguments: Sequence[str]) -> None:
    """The child: answer the question with the settings given and print it after a line that says `gpu` or `cpu`."""
    from hermes_cli.chat.message import Message
    from hermes_cli.engine.native_context import Context, Sampler
    from hermes_cli.engine.native_model import Model
    from hermes_cli.engine.prompt import PromptWriter

    signal.alarm(2 * int(TIMEOUT_S))  # also when nobody is left to end a child that hangs
    extra_buffers, gpu = (argument == "1" for argument in arguments)
    try:
        os.write(1, b"gpu\n" if native.supports_gpu() else b"cpu\n")
    except EngineError as problem:
        os.write(2, f"{problem.message}\n{problem.hint}\n".encode())
        os._exit(_NO_LIBRARY)
    model = Model(paths.DEMO_MODEL, extra_buffers=extra_buffers, gpu_layers=-1 if gpu else 0)
    context = Context(model, context_length=512, batch_size=128, threads=1)
    sampler = Sampler([("greedy", ())])
    context.decode(PromptWriter(model).write((Message("user", QUESTION),)).tokens)
    answer = b""
    for _ in range(24):
        token = context.sample(sampler)
        if model.is_end(token):
            break
        answer += model.piece(token)
        context.decode([token])
    os.write(1, answer)
    os._exit(0)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EngineError as problem:
        sys.exit(problem.message)
