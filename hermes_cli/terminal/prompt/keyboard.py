"""The keyboard during an answer: keys are not echoed, and are kept for the next prompt.

They are saved here and not in the terminal, which holds 4 kB: after a longer paste Ctrl-C would not arrive.

If the program is stopped or killed meanwhile by a signal that can be caught, the terminal is restored first.
"""

import contextlib
import errno
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from hermes_cli.terminal import console
from hermes_cli.terminal.signal_handlers import Handler, on_continue, on_signals, take

_IFLAG, _LFLAG, _CC = 0, 3, 6
# A paste stays in one piece also when it comes before the prompt.
_PASTES_ON, _PASTES_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
_READ_EVERY_S, _PASTE_GAP_S = 0.05, 0.01
_READ_BYTES, _MOST_BYTES = 1 << 16, 1 << 26
_CTRL_D = b"\x04"
# No update held back, the cursor shown, lines wrapped, plain text: an answer may stop anywhere.
_PLAIN_SCREEN = b"\x1b[?2026l\x1b[?25h\x1b[?7h\x1b[0m"


class _Quiet:
    """The terminal of stdin, which switches between its original mode and the quiet mode."""

    def __init__(self, terminal: int, resumed: Callable[[], None]) -> None:
        self._terminal, self._resumed = terminal, resumed
        self._before = termios.tcgetattr(terminal)
        self._applied = False
        self._asking = False
        self.asked_again: Callable[[], None] = lambda: None
        self._reading = threading.RLock()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read_ahead, daemon=True)

    def __enter__(self) -> None:
        self.apply()
        self._reader.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._reader.join()
        self.restore()

    @property
    def asking(self) -> bool:
        """Whether another reader, such as a question, reads a line from the terminal."""
        return self._asking

    @asking.setter
    def asking(self, asking: bool) -> None:
        with self._reading:
            self._asking = asking

    def _read_ahead(self) -> None:
        """In a thread: read the keys typed."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})  # in the background the read fails then
        while not self._ended.wait(_READ_EVERY_S):
            with contextlib.suppress(OSError), self._reading:
                while not self._asking and _in_foreground(self._terminal) and self._waits():
                    if not (data := os.read(self._terminal, _READ_BYTES)):
                        break
                    _typed.extend(data)

    def _waits(self) -> bool:
        room = len(_typed) < _MOST_BYTES
        return room and bool(select.select([self._terminal], [], [], _PASTE_GAP_S if _typed else 0)[0])

    def apply(self) -> None:
        """Be quiet, unless a line is being typed; a job in the background leaves the terminal to the shell."""
        if self.asking or not _in_foreground(self._terminal):
            return
        with contextlib.suppress(termios.error, OSError):
            attributes = termios.tcgetattr(self._terminal)
            if attributes[_LFLAG] & (termios.ECHO | termios.ICANON):
                self._before = attributes  # after a stop the shell may have changed it
                with self._reading:
                    _take_lines(self._terminal)
            _set_mode(self._terminal, _quieted(self._before))
            self._applied = True
            _draw(_PASTES_ON)

    def restore(self) -> None:
        """Put the mode back that was found."""
        if self._applied and _in_foreground(self._terminal):
            with contextlib.suppress(termios.error, OSError):
                _set_mode(self._terminal, self._before)
            _draw(_PASTES_OFF)
        self._applied = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """On SIGTSTP."""
        restore()
        stop(group=False)
        self.resume(number, frame)

    def resume(self, number: int, frame: FrameType | None) -> None:
        """On SIGCONT, after any kind of stop."""
        self.apply()
        (self.asked_again if self.asking else self._resumed)()

    def die(self, number: int, frame: FrameType | None) -> None:
        """On SIGQUIT."""
        restore()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


_quiet: _Quiet | None = None
_typed = bytearray()


@contextlib.contextmanager
def quiet_keyboard(resumed: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within the block keys are not echoed or collected into lines; Ctrl-C and Ctrl-Z still send signals.

    `resumed` is called in the main thread once the program continues after a stop, also if stdin is not a terminal.
    """
    global _quiet
    if _quiet is not None:
        yield
        return
    try:
        quiet = _Quiet(sys.stdin.fileno(), resumed) if console.is_terminal(sys.stdin) else None
    except (termios.error, OSError):
        quiet = None
    if quiet is None:
        with on_continue(resumed):
            yield
        return
    _quiet = quiet
    actions: dict[int, Handler] = {
        signal.SIGTSTP: quiet.stop,
        signal.SIGCONT: quiet.resume,
        signal.SIGQUIT: quiet.die,
    }
    with on_signals(actions):
        try:
            with quiet:
                yield
        finally:
            _quiet = None


@contextlib.contextmanager
def typing(terminal: int, asked_again: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within the block, also inside a quiet one, a line can be typed and seen; what waits in `terminal` is dropped.

    Inside a quiet block `asked_again` is called once the program continues after a stop.
    """
    quiet = _quiet
    if quiet is not None:
        quiet.asked_again = asked_again
        quiet.asking = True
        quiet.restore()
    try:
        _typed.clear()
        with contextlib.suppress(termios.error, OSError):
            termios.tcflush(terminal, termios.TCIFLUSH)
        yield
    finally:
        if quiet is not None:
            quiet.asking = False
            quiet.apply()


@contextlib.contextmanager
def stopped_with(act: Callable[[], None], resumed: Callable[[], None]) -> Iterator[None]:
    """Within the block a SIGTSTP calls `act`, which has to call `stop`; `resumed` follows a stop of another kind."""
    actions: dict[int, Handler] = {
        signal.SIGTSTP: lambda number, frame: act(),
        signal.SIGCONT: lambda number, frame: resumed(),
    }
    with on_signals(actions):
        yield


def typed_ahead() -> bytes:
    """Text typed ahead, once; Enter is a carriage return in it. The terminal may hold more."""
    data = bytes(_typed)
    _typed.clear()
    return data


def forget_typed() -> None:
    """Discard the keys typed ahead at the end of a chat: the shell would run them."""
    if console.is_terminal(sys.stdin) and _in_foreground(sys.stdin.fileno()):
        with contextlib.suppress(termios.error, OSError):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def restore() -> None:
    """Put keyboard and screen back before the process stops or ends; from any thread, and without waiting."""
    if _quiet is not None:
        forget_typed()
        _quiet.restore()
        _draw(_PLAIN_SCREEN)


def stop(*, group: bool = True) -> None:
    """Stop as by Ctrl-Z, the whole job or only this process, until the shell continues it. In the main thread."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTSTP, signal.SIGCONT)}
    try:
        if group:
            os.kill(0, signal.SIGTSTP)
        else:
            signal.raise_signal(signal.SIGTSTP)
    finally:
        for number, handler in before.items():
            take(number, handler)


def _take_lines(terminal: int) -> None:
    """Take what is a line already, or the end of input: without lines the terminal would give a NUL for a Ctrl-D."""
    while select.select([terminal], [], [], 0)[0]:
        line = os.read(terminal, _READ_BYTES)
        _typed.extend(line.replace(b"\n", b"\r") or _CTRL_D)
        if not line:
            return


def _quieted(attributes: list[Any]) -> list[Any]:
    """The quiet mode: no echo, no lines, no waiting reads, Enter unchanged; signal keys do not flush."""
    quieted = list(attributes)
    quieted[_CC] = list(quieted[_CC])
    quieted[_CC][termios.VMIN] = quieted[_CC][termios.VTIME] = 0
    quieted[_IFLAG] &= ~termios.ICRNL
    quieted[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    quieted[_LFLAG] |= termios.ISIG | termios.NOFLSH
    return quieted


def _set_mode(terminal: int, attributes: list[Any]) -> None:
    """Set it now. Should the shell take the terminal at this moment, there is no stop for it."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError as error:
        return error.errno == errno.ENOTTY  # a terminal that controls no jobs


def _draw(codes: bytes) -> None:
    """Send `codes` to the terminal if it takes them without waiting."""
    stream = next((stream for stream in (sys.stdout, sys.stderr) if console.is_terminal(stream)), None)
    if stream is None or os.environ.get("TERM", "dumb") == "dumb":
        return
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [stream.fileno()], [], 0)[1]:
            os.write(stream.fileno(), codes)
