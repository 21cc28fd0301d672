"""How a pool's broker is reached, and as whom."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

NEXT_URL: Final = re.compile(r"[\s,;]+(?=(?:https?|amqps?)://)")
"""Between the URLs of several hosts, as Celery separates them, or with commas or line breaks. What
precedes no scheme may belong to a password."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a broker is, which of its virtual hosts counts, and as whom to ask.

    `url` holds user and password, percent-encoded, and may name several hosts. `vhost` wins over
    the one in the URL's path. `token` is an OAuth 2 token, and wins over user and password.
    `ca_pem` are the certificates to trust, or None for the system's.
    """

    url: str = field(repr=False)
    vhost: str | None = None
    token: str | None = field(default=None, repr=False)
    ca_pem: str | None = None

    def at(self, host: str) -> "Access":
        """Return the same for one host, by its URL."""
        return replace(self, url=host)


def hosts(url: str) -> tuple[str, ...]:
    """Return the URLs that a Secret holds, one for each host of a cluster."""
    return tuple(NEXT_URL.split(url.strip()))
