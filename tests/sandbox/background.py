"""An event loop in a thread of its own: servers answer while a test blocks."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Self, TypeVar

T = TypeVar("T")

START_SECONDS = 60.0
"""For a server to start or to stop; it takes milliseconds, on a busy machine some more."""


class Background:
    """Runs servers until it is left. Use as a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def running(self, server: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Start a server, and stop it on leaving."""
        started = self.run(server.__aenter__())
        try:
            yield started
        finally:
            self.run(server.__aexit__(None, None, None))

    def run(self, awaitable: Awaitable[T]) -> T:
        """Await something in the loop."""

        async def awaited() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(START_SECONDS)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop, between its tasks."""

        async def called() -> T:
            return function()

        return self.run(called())
