"""Tests the installed llama.cpp in child processes, and is the child.

A build can crash on the very machine that made it: GCC 12 mis-compiles the AMX tile set-up, and then every quantised
model dies with SIGSEGV unless the model parameter `use_extra_bufts` is off. A wheel for another CPU dies with SIGILL,
a broken driver hangs. So a child answers one question with the bundled demo model; a crash, a wrong answer or
a timeout rules the setting out.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from hermes_cli import paths
from hermes_cli.engine.llama import library
from hermes_cli.errors import EngineError, LoadCancelled
from hermes_cli.machine.verdict import TIMEOUT_S, Verdict

QUESTION = "What is 2 plus 3?"
ANSWER = "2 plus 3 is 5."
_SILENCE = "no answer in time"
_NO_LIBRARY = 3
_CRASHES = {signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
_DOUBT_LASTS_S = 86_400.0
_POLL_S = 0.05


def tested(timeout_s: float, may_continue: Callable[[], bool]) -> Verdict:
    """Try the fast setting, then the safe one, then the GPU with whichever worked.

    A child is given up after `timeout_s`. Raises LoadCancelled as soon as `may_continue` says no, else EngineError.
    """
    asker = _Asker(timeout_s, may_continue)
    failures: dict[str, str] = {}
    for extra_buffers in (True, False):
        reason = asker.fault(extra_buffers=extra_buffers, gpu=False)
        if reason is None:
            break
        failures["extra_buffers"] = reason
    else:
        raise EngineError(
            f"the installed llama.cpp does not work on this machine: {reason}",
            f"rebuild it here: {library.REBUILD}",
        )
    gpu: bool | None = None
    if asker.has_gpu:
        reason = asker.fault(extra_buffers=extra_buffers, gpu=True)
        gpu = reason is None
        if reason is not None:
            failures["gpu"] = reason
    in_doubt = any(reason == _SILENCE or library.is_out_of_memory(reason) for reason in failures.values())
    expires = time.time() + _DOUBT_LASTS_S if in_doubt else None
    return Verdict(extra_buffers=extra_buffers, gpu=gpu, failures=failures, expires=expires)


class _Asker:
    """Runs the children; `has_gpu` says what the last one found."""

    def __init__(self, timeout_s: float, may_continue: Callable[[], bool]) -> None:
        self._timeout_s, self._may_continue = timeout_s, may_continue
        self.has_gpu = False

    def fault(self, *, extra_buffers: bool, gpu: bool) -> str | None:
        """Why a child with these settings failed; None if it succeeded."""
        # -P: a file in the working folder must not be able to take the place of a module.
        command = [sys.executable, "-P", "-m", "hermes_cli.machine.probe_child", str(int(extra_buffers)), str(int(gpu))]
        child = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal must not count as a crash of the library
        )
        # A GPU's first start may compile its kernels.
        output = self._wait(child, self._timeout_s * (3 if gpu else 1))
        return _SILENCE if output is None else self._judged(child.returncode, *output)

    def _wait(self, child: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[bytes, bytes] | None:
        """What the child wrote to stdout and stderr; None if it took too long."""
        deadline = time.monotonic() + timeout_s
        try:
            while time.monotonic() < deadline:
                with suppress(subprocess.TimeoutExpired):
                    return child.communicate(timeout=_POLL_S)
                if not self._may_continue():
                    raise LoadCancelled("loading the model was stopped", "run the command again")
            return None
        finally:
            if child.poll() is None:
                child.kill()
                with suppress(subprocess.TimeoutExpired):
                    child.communicate(timeout=1)

    def _judged(self, code: int, out: bytes, err: bytes) -> str | None:
        output = err.decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            return f"killed by {_crash_name(-code)}"
        if code == _NO_LIBRARY:
            raise EngineError(*output[-2:])
        if code:
            errors = [line.removeprefix("error: ") for line in output if line.startswith("error: ")]
            return (errors or output or [f"exit code {code}"])[-1]
        device, _, answer = out.decode("utf-8", "replace").partition("\n")
        self.has_gpu = device == "gpu"
        return None if answer == ANSWER else f"a wrong answer: {answer!r}"


def _crash_name(number: int) -> str:
    """The signal of a crash. Raises EngineError for a signal that was sent, which does not concern the library."""
    if number not in _CRASHES:
        raise EngineError(f"the check of llama.cpp was stopped by signal {number}", "run the command again")
    return signal.Signals(number).name


def main(arguments: Sequence[str]) -> None:
    """The child: answer the question with the settings given and print it after a line that says `gpu` or `cpu`."""
    from hermes_cli.chat.message import Message
    from hermes_cli.engine.llama.context import Context
    from hermes_cli.engine.llama.model import Model
    from hermes_cli.engine.llama.sampler import Sampler
    from hermes_cli.engine.load_options import SELECTED_TOKENS
    from hermes_cli.engine.prompt import PromptWriter

    signal.alarm(6 * int(TIMEOUT_S))  # in case the parent is gone and the child hangs
    extra_buffers, gpu = (argument == "1" for argument in arguments)
    try:
        os.write(1, b"gpu\n" if library.supports_gpu() else b"cpu\n")
    except EngineError as problem:
        os.write(2, f"{problem.message}\n{problem.hint}\n".encode())
        os._exit(_NO_LIBRARY)
    model = Model(paths.DEMO_MODEL, extra_buffers=extra_buffers, gpu_layers=-1 if gpu else 0)
    context = Context(model, context_length=512, batch_size=128, threads=1)
    context.select_candidates(SELECTED_TOKENS if gpu else 0)
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
