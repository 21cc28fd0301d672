"""Where KEDA reaches the scaler: a port that only the process that leads listens on.

KEDA keeps a connection, and calls by it for as long as it lasts. One to a standby would answer
nothing for hours; where the standby's port is closed, there is none, and when the leader ends or
leads no more, KEDA connects anew.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import grpc

from scanpool.keda.scaler import Scaler

CERTIFICATE, KEY = "tls.crt", "tls.key"
# Another process may have the port for a moment, as one that is about to end has.
TRY_AGAIN_SECONDS = 5.0
OPTIONS = (
    # Two processes would else share the port, and each get some of the connections.
    ("grpc.so_reuseport", 0),
    # The metadata of a trigger takes a few hundred bytes.
    ("grpc.max_receive_message_length", 64 * 1024),
)

logger = logging.getLogger(__name__)


class Tls(NamedTuple):
    """The directory that holds the certificate, and the authority of clients; None: any may ask."""

    directory: Path
    client_ca: Path | None = None


class Listener:
    """Listens on a port from `open` to `shut`, which take effect at once and wait for nothing."""

    def __init__(self, scaler: Scaler, host: str, port: int, tls: Tls | None) -> None:
        self._scaler, self._host, self._port, self._tls = scaler, host, port, tls
        self._is_open, self._changed = False, asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to do as told.

        Raises:
            OSError: if the port is taken, or the certificate cannot be read.

        """
        socket.create_server((self._host, self._port)).close()
        if self._tls is not None:
            _certificate(self._tls)
        self._task = asyncio.create_task(self._run(), name="keda")

    def open(self) -> None:
        """Listen: this process has begun to lead."""
        self._is_open = True
        self._changed.set()

    def shut(self) -> None:
        """Listen no more, and end all calls."""
        self._is_open = False
        self._changed.set()

    async def close(self) -> None:
        """End for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._is_open:
                continue
            try:
                await self._serve()
            except (OSError, RuntimeError) as error:
                # grpc raises RuntimeError where it cannot bind.
                logger.error(  # noqa: TRY400 - what it says is all there is to know
                    "KEDA cannot be answered on port %d, which is tried again every %.0f s: %s",
                    self._port,
                    TRY_AGAIN_SECONDS,
                    error,
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(TRY_AGAIN_SECONDS):
                        await self._changed.wait()
                self._changed.set()

    async def _serve(self) -> None:
        """Listen until told otherwise."""
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._scaler.handler(),))
        address = f"{self._host}:{self._port}"
        if self._tls is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, _credentials(self._tls))
        await server.start()
        try:
            while self._is_open:
                await self._changed.wait()
                self._changed.clear()
        finally:
            await server.stop(None)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """Return what shows the certificate as it is when a client connects: they are replaced."""
    last = _certificate(tls)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        try:
            return _certificate(tls)
        except OSError as error:
            logger.warning("The certificate for KEDA cannot be read, the last one stays: %s", error)
            return None

    asks_clients = tls.client_ca is not None
    # None, which the stubs leave out, is for one that stays.
    return grpc.dynamic_ssl_server_credentials(last, fetch, asks_clients)  # type: ignore[arg-type]


def _certificate(tls: Tls) -> grpc.ServerCertificateConfiguration:
    pair = ((tls.directory / KEY).read_bytes(), (tls.directory / CERTIFICATE).read_bytes())
    authority = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_certificate_configuration([pair], authority)
