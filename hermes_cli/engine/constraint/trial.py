"""Whether llguidance can compile a grammar: tried with an alphabet of bytes, in a child process where it may crash.

Compiling a hostile schema can overflow the native stack or take minutes, and neither can be stopped from within.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from hermes_cli.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

TIMEOUT_S = 5.0
_POLL_S = 0.05
_STACK_BYTES = 4 * 2**20  # half of what the engine thread has, so that what passes here passes there
_MEMORY_BYTES = 3 * 2**30
_END = 256
_PLACE = re.compile(r"^(at \d+\(\d+\): )?(failed to (compile JSON schema|parse \"%json\"): )?")
_UNKNOWN = re.compile(r"Unimplemented keys: \[(.*)\]")
_REASON = re.compile(r"^error: (.*)$", re.MULTILINE)
_QUOTE = '"'


class ByteAlphabet:
    """A vocabulary of the 256 bytes and an end, in the shape llguidance asks for."""

    is_tokenizer_wrapper = True
    eos_token_id = _END
    bos_token_id = None
    special_token_ids = (_END,)
    tokens = (*(bytes([byte]) for byte in range(_END)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@cache
def _bytes_tokenizer() -> "LLTokenizer":
    from llguidance import LLTokenizer

    return LLTokenizer(ByteAlphabet(), eos_token=_END, slices=[])  # type: ignore[arg-type]


def fault(grammar: str) -> str | None:
    """Why nothing can be written by `grammar`; None if something can. Compiles in this process."""
    from llguidance import LLMatcher, LLParserLimits

    matcher = LLMatcher(_bytes_tokenizer(), grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))
    if not matcher.is_error():
        # The first step finds what can never be finished, such as an object that must hold itself.
        allowed = matcher.compute_bitmask()
        if not matcher.is_error() and any(allowed):
            return None
    return in_words(matcher.get_error())


def in_words(error: str) -> str:
    """What llguidance says is wrong with a grammar, for the one who wrote the schema."""
    error = _PLACE.sub("", error.strip())
    first = error.splitlines()[0].strip() if error else ""
    if unknown := _UNKNOWN.match(first):
        return f"it uses {unknown[1].replace(_QUOTE, '')}"
    if first.startswith("oneOf"):
        return "it uses oneOf with choices that may overlap"
    if first.startswith("Unknown format"):
        return f"it uses the {first[0].lower()}{first[1:]}"
    if first.startswith("Unsatisfiable schema: "):
        return f"nothing can satisfy it: {first.partition(': ')[2]}"
    if first.startswith("NoExtension") or not first:
        return "nothing can satisfy it"
    if first.startswith(("panic", "Parser Error", "parser error", "lexer", "Lexer")):
        return "it is too complex"
    if first.startswith("regex parse error"):
        reason = _REASON.search(error)
        return f"a pattern cannot be used: {reason[1] if reason else 'it is no regular expression'}"
    if first.startswith("lookarounds"):
        return "a pattern cannot be used: look-around is not supported"
    return first


def first_usable(grammars: Sequence[str], _: Callable[[], bool] = lambda: True) -> list[str]:
    """The faults of the grammars before the first that is usable; as many as there are if none is."""
    faults: list[str] = []
    for grammar in grammars:
        reason = fault(grammar)
        if reason is None:
            break
        faults.append(reason)
    return faults


def first_usable_in_child(grammars: Sequence[str], keep_on: Callable[[], bool] = lambda: True) -> list[str]:
    """The same from a child process, which is given up after a few seconds, or as soon as `keep_on` says no."""
    with tempfile.TemporaryFile() as question:
        question.write(json.dumps(list(grammars)).encode())
        question.seek(0)
        # -P: a file in the working folder must not be able to take the place of a module.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "hermes_cli.engine.constraint.trial"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    said = _answer(child, keep_on)
    if said is None:
        return ["it takes too long to prepare"] * len(grammars)
    try:
        faults: list[str] = json.loads(said)
    except ValueError:
        return ["it is too complex"] * len(grammars)
    return faults


def _answer(child: "subprocess.Popen[bytes]", keep_on: Callable[[], bool]) -> bytes | None:
    """What the child wrote; None if it took too long."""
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline and keep_on():
            with suppress(subprocess.TimeoutExpired):
                return child.communicate(timeout=_POLL_S)[0]
        return None
    finally:
        if child.poll() is None:
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=1)


def main() -> None:
    """The child: read grammars, try them on a small stack, write the faults."""
    signal.alarm(4 * int(TIMEOUT_S))  # also when nobody is left to end a child that hangs
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    grammars = json.loads(sys.stdin.buffer.read())

    def work() -> None:
        sys.stdout.write(json.dumps(first_usable(grammars)))

    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def check_library() -> None:
    """Raise EngineError where llguidance is missing or does not load."""
    try:
        import llguidance  # noqa: F401
    except (ImportError, OSError) as error:
        raise EngineError(
            f"constrained answers need llguidance: {error}", f"{sys.executable} -m pip install llguidance"
        ) from error


if __name__ == "__main__":
    main()
