"""The thread on which llama.cpp runs, so that the main thread is free to paint and to handle signals."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_WAKE_S = 0.1


class EngineThread:
    """Runs one job at a time, in order, always on the same thread."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def submit(self, job: Callable[[], None]) -> None:
        """Queue `job`, which must not raise."""
        self._jobs.put(job)

    def run(self, work: Callable[[], T]) -> T:
        """Run `work` on the thread and wait for its result; its exceptions are raised here."""
        results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def job() -> None:
            try:
                results.put((work(), None))
            except BaseException as error:
                results.put((None, error))

        self.submit(job)
        value, error = wait(results)
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread after the queued jobs."""
        self._jobs.put(None)


def wait(queue: "SimpleQueue[T]") -> T:
    """The next item; wakes up regularly, because Python signal handlers run only on the main thread."""
    while True:
        try:
            return queue.get(timeout=_WAKE_S)
        except Empty:
            continue
