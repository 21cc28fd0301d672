"""A certificate authority, and certificates for 127.0.0.1 and for a client, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

VALID_DAYS = "2"
"""Longer than any run, short enough to be worthless afterwards."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    server_certificate: Path
    server_key: Path
    client_certificate: Path
    client_key: Path


def create_certificates(directory: Path, client: str = "client") -> Certificates:
    """Create an authority, and what it signed: for 127.0.0.1, ::1 and localhost, and a `client`.

    Raises:
        subprocess.CalledProcessError: if openssl refuses.

    """
    directory.mkdir(exist_ok=True)
    made = Certificates(
        authority=directory / "ca.pem",
        server_certificate=directory / "server.pem",
        server_key=directory / "server.key",
        client_certificate=directory / "client.pem",
        client_key=directory / "client.key",
    )
    authority_key = directory / "ca.key"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    _openssl(
        "req", "-x509", *new_key, "-days", VALID_DAYS, "-subj", "/CN=scanpool sandbox CA",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", authority_key, "-out", made.authority,
    )  # fmt: skip
    _openssl(
        "req", "-x509", *new_key, "-days", VALID_DAYS, "-subj", "/CN=localhost",
        "-CA", made.authority, "-CAkey", authority_key,
        "-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-addext", "extendedKeyUsage=serverAuth",
        "-keyout", made.server_key, "-out", made.server_certificate,
    )  # fmt: skip
    _openssl(
        "req", "-x509", *new_key, "-days", VALID_DAYS, "-subj", f"/CN={client}",
        "-CA", made.authority, "-CAkey", authority_key,
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-addext", "extendedKeyUsage=clientAuth",
        "-keyout", made.client_key, "-out", made.client_certificate,
    )  # fmt: skip
    return made


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True, capture_output=True)
