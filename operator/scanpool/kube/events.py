"""Events on their way to the API server: whoever tells of one does not wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from scanpool.kube.cluster import Happening, Object
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.units import Clock

Emit = Callable[[Object, Happening, float], Awaitable[Unavailable | None]]
"""Writes an Event about an object, of what happened at a time; tells why it was refused."""

# A thousand pools have three each when an operator starts. client-go keeps 1,000, of one kind.
MOST_WAITING = 5_000
# Of those that wait when the process ends, as many are written as that leaves time for; all of the
# process has four seconds.
LAST_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Events:
    """Writes Events one after the other, in the order in which they were told.

    One at a time, so that writes of replicas and of statuses come first at a slow API server. As
    with client-go's recorder they are told best effort: what is too much is dropped, and logged.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock = emit, clock
        self._waiting: asyncio.Queue[tuple[Object, Happening, float]] = asyncio.Queue(MOST_WAITING)
        self._dropped = 0
        self._writer = asyncio.create_task(self._write(), name="events")

    def tell(self, about: Object, event: Happening) -> None:
        """Take an Event about an object, of what happened just now."""
        try:
            self._waiting.put_nowait((about, event, self._clock()))
        except asyncio.QueueFull:
            if not self._dropped:
                logger.warning(
                    "%d Events wait for the Kubernetes API, which is slow: more are dropped",
                    MOST_WAITING,
                )
            self._dropped += 1

    async def close(self) -> None:
        """Write what still waits, for a moment, and end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._waiting.join()
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            about, event, at = await self._waiting.get()
            refusal = await self._emit(about, event, at)
            # Whoever leads tells of what happens now; there may be thousands of before.
            if refusal is not None and refusal.reason is not Reason.NOT_LEADING:
                place = f"{about.namespace}/{about.name}"
                logger.warning("An Event of %s was not written: %s", place, refusal.message)
            self._waiting.task_done()
            if self._dropped and self._waiting.empty():
                logger.warning("%d Events were dropped; all others are written", self._dropped)
                self._dropped = 0
