"""Scans in flight that keep a pool wanting more than it may have."""

import asyncio
from contextlib import suppress
from typing import Self

from scanpool_sandbox.users import Users

LOOK_SECONDS = 0.5
"""At four replicas some three scans end meanwhile."""


class Backlog:
    """So many scans are in flight, whatever is worked off. An async context manager."""

    def __init__(self, users: Users, scans: int) -> None:
        self._users = users
        self._scans = scans
        self._filling: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Fill it up, and keep it full."""
        await self._fill()
        self._filling = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the scans that are in flight to the workers."""
        self._over.set()
        if self._filling is not None:
            # Not cancelled: scans that are counted and were never sent would pass for lost.
            await self._filling

    async def _keep(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._over.wait()
                    return
            await self._fill()

    async def _fill(self) -> None:
        missing = self._scans - self._users.counts().in_flight
        if missing > 0:
            await self._users.submit(missing)
