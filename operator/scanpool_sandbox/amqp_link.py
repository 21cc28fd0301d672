"""A connection to the broker that is renewed whenever it is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

from scanpool_sandbox.amqp import ConnectionLostError, Session

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Link:
    """Keeps a session to the broker. Use as an async context manager.

    Args:
        url: amqp://user:password@host:port/vhost.
        prefetch: unacknowledged messages at most.
        prepare: called with each new session, to declare and consume.
        abandon: called when a session is lost, to drop what was in hand.

    """

    def __init__(
        self,
        url: str,
        *,
        prefetch: int,
        prepare: Callable[[Session], Awaitable[None]],
        abandon: Callable[[], None],
    ) -> None:
        self._url = url
        self._prefetch = prefetch
        self._prepare = prepare
        self._abandon = abandon
        self._session: Session | None = None
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect, without waiting for it."""
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session; what was not acknowledged is redelivered."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping

    @property
    def current(self) -> Session | None:
        """The session that is ready now, if there is one."""
        if self._session is None or self._session.is_lost or not self._connected.is_set():
            return None
        return self._session

    async def session(self) -> Session:
        """Return a ready session, as soon as there is one."""
        while (session := self.current) is None:
            self._connected.clear()
            await self._connected.wait()
        return session

    async def _keep(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                self._session = await Session.connect(self._url, prefetch=self._prefetch)
                await self._prepare(self._session)
                self._connected.set()
                delay = FIRST_RETRY_SECONDS
                reason = await self._session.wait_lost()
            except ConnectionLostError as error:
                reason = str(error)
            finally:
                self._connected.clear()
                self._abandon()
                if self._session is not None:
                    await self._session.close()
                    self._session = None
            logger.warning("no broker, next try in %g s: %s", delay, reason)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)
