"""A backend that opens in the background, so that the user can type while the model loads."""

import threading
from collections.abc import Callable, Generator

from hermes_cli.backend import Backend, BackendInfo
from hermes_cli.chat.events import GenerationEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.errors import LoadCancelled

_WAKE_S = 0.05
Open = Callable[[CancelToken, Callable[[float], None]], Backend]


class BackgroundBackend:
    """Calls `open` on a thread after `start`; calls that need the model wait for it and raise its error.

    `on_change` is called on that thread at every progress and at the end.
    """

    def __init__(self, name: str, open: Open) -> None:
        self.name = name
        self.on_change: Callable[[], None] = lambda: None
        self._open = open
        self._reset()

    def _reset(self) -> None:
        self.fraction = 0.0
        self._cancel = CancelToken()
        self._backend: Backend | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to open the model, if that was not started before."""
        self._started()

    def _started(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="opening", daemon=True)
            self._thread.start()
        return self._thread

    def _work(self) -> None:
        try:
            self._backend = self._open(self._cancel, self._progress)
        except BaseException as error:
            self._error = error
        self.on_change()

    def _progress(self, fraction: float) -> None:
        self.fraction = fraction
        self.on_change()

    @property
    def ready(self) -> bool:
        """Whether the model can answer at once."""
        return self._backend is not None

    @property
    def stopped(self) -> bool:
        """Whether opening was stopped; the next wait starts it again."""
        return isinstance(self._error, LoadCancelled)

    @property
    def failure(self) -> BaseException | None:
        """The error that opening raised; None after a stop."""
        return None if self.stopped else self._error

    def wait(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> None:
        """Wait until the model is ready; `on_progress` gets 0 to 1 meanwhile. A cancel stops the opening.

        Opening that was stopped starts again. Raises LoadCancelled and what opening raises.
        """
        if self.stopped:
            self._reset()
        thread = self._started()
        with cancel.calling(lambda: self._cancel.cancel(cancel.reason or "interrupt")):
            while thread.is_alive():
                thread.join(_WAKE_S)
                on_progress(self.fraction)
        self._opened()

    def _opened(self) -> Backend:
        if self._backend is None:
            self._started().join()
        if self._backend is None:
            assert self._error is not None, "opening ends with a backend or an error"
            raise self._error
        return self._backend

    @property
    def info(self) -> BackendInfo:
        """See `Backend`."""
        return self._opened().info

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """See `Backend`."""
        return self._opened().generate(request, cancel)

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """See `Backend`."""
        return self._opened().count_tokens(messages)

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """See `Backend`."""
        return self._opened().prompt_text(messages)

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """See `Backend`."""
        return self._opened().control_text(messages)

    def close(self) -> None:
        """See `Backend`; an opening in progress is stopped."""
        self._cancel.cancel("interrupt")
        if self._thread:
            self._thread.join()
        if self._backend:
            self._backend.close()
