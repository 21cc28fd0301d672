"""The outcomes of a pipeline, consumed in a thread of their own: kombu waits where it reads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from celery import Celery

from scanpool_sandbox.pipeline import Pipeline, Result
from scanpool_sandbox.workers.app import declare, results

PREFETCH = 200
LOOK_SECONDS = 0.2
"""How soon it notices that it is to end."""
RETRY_SECONDS = 0.25


class Results:
    """Calls `on_result` in the loop of `open` for each outcome, however often the broker restarts.

    Args:
        app: leads to the broker.
        pipeline: whose outcomes.
        on_result: an outcome that is acknowledged once this returns.

    """

    def __init__(
        self, app: Celery, pipeline: Pipeline, on_result: Callable[[Result], None]
    ) -> None:
        self._app = app
        self._pipeline = pipeline
        self._on_result = on_result
        self._stopping = threading.Event()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._consume, name="results", daemon=True)

    @property
    def closed(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._stopping.is_set()

    async def open(self) -> None:
        """Connect, declare the pipeline's queues and begin to consume.

        It waits for a broker that is not there for as long as the caller does.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await asyncio.wrap_future(self._ready)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop; what was not acknowledged goes back."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _consume(self) -> None:
        while not self._stopping.is_set():
            connection = self._app.connection_for_read()
            try:
                with connection:
                    declare(self._app, self._pipeline, connection)
                    self._listen(connection)
            except connection.connection_errors + connection.channel_errors:
                self._stopping.wait(RETRY_SECONDS)

    def _listen(self, connection: Any) -> None:
        queue = results(self._pipeline)
        with connection.Consumer(
            queue, on_message=self._take, accept=["json"], prefetch_count=PREFETCH
        ):
            if not self._ready.done():
                self._ready.set_result(None)
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=LOOK_SECONDS)

    def _take(self, message: Any) -> None:
        result = Result.decode(
            message.body.encode() if isinstance(message.body, str) else message.body
        )
        self._loop.call_soon_threadsafe(partial(self._on_result, result))
        message.ack()
