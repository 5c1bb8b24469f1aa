"""The queue: first come, first served per client, with one turn for each client in a round."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hermes_cli.server.protocol.api_error import ApiError, unavailable

MOST_WAITING = 64
MOST_WAITING_OF_A_CLIENT = 16


class Turns:
    """A fair, bounded queue; used on the event loop only."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.busy = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waiting.values()))

    def _check_room(self, client: str) -> None:
        if self.waiting >= MOST_WAITING:
            raise unavailable("too many requests are waiting")
        if len(self._waiting.get(client, ())) >= MOST_WAITING_OF_A_CLIENT:
            raise ApiError(
                429, "rate_limit_error", "too many of your requests are waiting", headers={"Retry-After": "5"}
            )

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for the client's turn, and hold the engine during the block. Leaving early gives the place up.

        Raises ApiError where the queue takes no more.
        """
        if self.busy:
            self._check_room(client)
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._next()
                else:
                    self._remove(client, place)
                raise
        self.busy = True
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        """Hand the engine to the client whose last turn is the longest ago."""
        while self._waiting:
            client, places = self._waiting.popitem(last=False)
            place = places.popleft()
            if places:
                self._waiting[client] = places
            if not place.done():
                place.set_result(None)
                return
        self.busy = False

    def _remove(self, client: str, place: "asyncio.Future[None]") -> None:
        places = self._waiting.get(client)
        if places and place in places:
            places.remove(place)
            if not places:
                del self._waiting[client]
