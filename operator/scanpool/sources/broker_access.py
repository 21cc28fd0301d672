"""How a pool's broker is reached, and as whom."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from scanpool.models.conditions import Reason
from scanpool.sources.identity import Identity

NEXT_URL: Final = re.compile(r"[\s,;]+(?=(?:https?|amqps?)://)")
"""Between the URLs of several hosts, as Celery separates them, or with commas or line breaks. What
precedes no scheme may belong to a password."""

WORTH_ANOTHER_HOST: Final = frozenset({Reason.BROKER_UNREACHABLE, Reason.BROKER_ERROR})
"""Another host of the cluster may answer where one does not, or is not up yet."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a broker is, which of its virtual hosts counts, and as whom to ask.

    `url` holds user and password, percent-encoded, and may name several hosts. `vhost` wins over
    the one in the URL's path. `token` is an OAuth 2 token, and wins over user and password.
    `ca_pem` are the certificates to trust, or None for the system's; `identity` is shown to a
    server that asks for it, and `server_name` is what a server is asked for in TLS, and has to
    prove to be, if it is not the URL's host.
    """

    url: str = field(repr=False)
    vhost: str | None = None
    token: str | None = field(default=None, repr=False)
    ca_pem: str | None = None
    identity: Identity | None = None
    server_name: str | None = None

    @property
    def place(self) -> "Access":
        """The same, whoever asks: a token that is renewed leads to the same broker."""
        return replace(self, token=None)

    def at(self, host: str) -> "Access":
        """Return the same for one host, by its URL."""
        return replace(self, url=host)


def hosts(url: str) -> tuple[str, ...]:
    """Return the URLs that a Secret holds, one for each host of a cluster."""
    return tuple(NEXT_URL.split(url.strip()))
