"""A server whose certificate has expired: nobody should get further than to see that."""

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Self

CONFIGURATION = """
[ca]
default_ca = expired
[expired]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
basicConstraints = critical, CA:TRUE
"""
FROM, UNTIL = "20240101000000Z", "20240102000000Z"


def create_expired(directory: Path) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, and its key; return where they are."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "configuration").write_text(CONFIGURATION)
    (directory / "index").touch()
    (directory / "serial").write_text("01\n")
    for words in (
        (
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost "
            "-keyout key -out request"
        ),
        (
            "ca -batch -notext -selfsign -config configuration -keyfile key -in request "
            f"-out certificate -startdate {FROM} -enddate {UNTIL}"
        ),
    ):
        command = ["openssl", *words.split()]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return directory / "certificate", directory / "key"


class ExpiredServer:
    """Listens with the certificate, and hangs up on whoever takes it. An async context manager."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(_hang_up, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
