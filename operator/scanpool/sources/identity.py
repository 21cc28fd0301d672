"""What the operator shows of itself in TLS, where a server asks for it (mTLS)."""

import os
import ssl
from dataclasses import dataclass, field
from typing import Final

from scanpool.models.conditions import Reason
from scanpool.sources.failures import SourceError

NO_PASSWORD: Final = ""
"""Opens no encrypted key, and keeps the ssl module from asking a person for a password."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain, and its key, as PEM; `password` opens an encrypted key."""

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    password: str | None = field(default=None, repr=False)


def show(context: ssl.SSLContext, identity: Identity) -> None:
    """Let `context` show an identity; one that cannot be used raises SourceError."""
    # The ssl module reads files only. This one is in memory, and gone with its descriptor.
    descriptor = os.memfd_create("client-certificate")
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="ascii", errors="replace") as file:
            file.write(f"{identity.certificate}\n{identity.key}\n")
        context.load_cert_chain(
            f"/proc/self/fd/{descriptor}", password=identity.password or NO_PASSWORD
        )
    except (ssl.SSLError, OSError, ValueError):
        raise SourceError(
            Reason.TLS_FAILED,
            "the client certificate cannot be used: certificate and key must be PEM and belong "
            "together, and an encrypted key needs its password; correct the Secrets of "
            "rabbitmq.clientCertificate",
        ) from None
    finally:
        os.close(descriptor)
