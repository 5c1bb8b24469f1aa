"""The queue: first come, first served per client, one turn each, and clients that leave give up their place."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from hermes_cli.server.protocol.api_error import ApiError
from hermes_cli.server.turns import MOST_WAITING, MOST_WAITING_OF_A_CLIENT, Turns


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_clients_take_turns() -> None:
    order: list[str] = []

    async def main() -> None:
        turns = Turns()

        async def ask(client: str) -> None:
            async with turns.turn(client):
                order.append(client)
                await asyncio.sleep(0)

        async with turns.turn("first"):
            waiting = [asyncio.create_task(ask(client)) for client in ("a", "a", "a", "b", "c")]
            await asyncio.sleep(0.01)
        await asyncio.gather(*waiting)
        assert not turns.busy and turns.waiting == 0

    run(main())
    assert order == ["a", "b", "c", "a", "a"]


def test_leaving_client_gives_up_its_place() -> None:
    async def main() -> None:
        turns = Turns()
        done: list[str] = []

        async def ask(client: str) -> None:
            async with turns.turn(client):
                done.append(client)

        async with turns.turn("first"):
            leaving, staying = asyncio.create_task(ask("a")), asyncio.create_task(ask("b"))
            await asyncio.sleep(0.01)
            leaving.cancel()
            await asyncio.sleep(0.01)
        await staying
        assert done == ["b"] and not turns.busy and turns.waiting == 0

    run(main())


def test_client_that_leaves_when_its_turn_comes_passes_it_on() -> None:
    async def main() -> None:
        turns = Turns()

        async def ask(client: str) -> None:
            async with turns.turn(client):
                await asyncio.sleep(10)

        async with turns.turn("first"):
            leaving = asyncio.create_task(ask("a"))
            await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.wait([leaving])
        async with asyncio.timeout(5), turns.turn("b"):
            pass
        assert not turns.busy

    run(main())


def test_the_queue_is_bounded() -> None:
    async def main() -> None:
        turns = Turns()

        async def ask(client: str) -> None:
            async with turns.turn(client):
                pass

        async with turns.turn("first"):
            tasks = [asyncio.create_task(ask("a")) for _ in range(MOST_WAITING_OF_A_CLIENT)]
            await asyncio.sleep(0.01)
            with pytest.raises(ApiError) as caught:
                await ask("a")
            assert caught.value.status == 429
            tasks += [asyncio.create_task(ask(f"c{number}")) for number in range(MOST_WAITING - len(tasks))]
            await asyncio.sleep(0.01)
            with pytest.raises(ApiError) as caught:
                await ask("b")
            assert caught.value.status == 503 and turns.waiting == MOST_WAITING
        await asyncio.gather(*tasks)

    run(main())
