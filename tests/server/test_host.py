"""The host of the model: what it loads is never lost, and what it counts is exact."""

import asyncio
import threading
import time

from starlette.requests import Request

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.server.app import Api
from hermes_cli.server.host import ModelHost


def test_a_model_that_is_loaded_as_its_client_leaves_is_kept() -> None:
    begun = threading.Event()

    def load(cancel: CancelToken) -> LocalBackend:
        begun.set()
        while not cancel.cancelled:
            time.sleep(0.01)
        return open_backend(paths.DEMO_MODEL, LoadSettings(context_length=512))  # too late to cancel

    async def main() -> ModelHost:
        host = ModelHost(load)
        leaving = asyncio.create_task(host.opened())
        await asyncio.to_thread(begun.wait)
        leaving.cancel()
        await asyncio.wait([leaving])
        return host

    host = asyncio.run(main())
    assert host.backend is not None
    host.close()


def test_large_counters_are_exact() -> None:
    host = ModelHost(lambda cancel: open_backend(paths.DEMO_MODEL, LoadSettings(context_length=512)))
    host.counters.prompt_tokens = 12_345_678
    page = asyncio.run(Api(host, "demo").metrics(Request({"type": "http"})))
    assert b"\nllamacpp:prompt_tokens_total 12345678\n" in page.body
    host.close()
