"""Take apart the URLs that users write, without ever repeating what must stay secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from scanpool.models.conditions import Reason
from scanpool.sources.failures import SourceError

ENCODE_HINT: Final = (
    "percent-encode the characters / ? # @ : % in its user name, password and virtual host"
)

MAX_HOST_CHARACTERS: Final = 253
"""Of a name in DNS."""
HTTP_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and who asks, percent-decoded; `path` alone is as it was written.

    User name and password are None where the URL has none.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """scheme://host:port, which is safe to show."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(url: str, default_ports: Mapping[str, int], remedy: str) -> Address:
    """Take apart the URL that a Secret or a spec holds, of one of the schemes in `default_ports`.

    White space around it (a Secret made with `echo`) does not count, nor do its query and fragment.
    Another scheme, no host, an impossible port, or characters that make it unclear where the
    password ends raise SourceError, whose message says to correct `remedy` and repeats nothing that
    may be secret.
    """
    try:
        return _parse(url.strip(), default_ports)
    except ValueError as error:
        raise SourceError(Reason.INVALID_URL, f"{error}; correct {remedy}") from None


def _parse(url: str, default_ports: Mapping[str, int]) -> Address:
    schemes = " or ".join(f"{scheme}://" for scheme in default_ports)
    if not url.isprintable() or " " in url:
        # urlsplit would silently drop line breaks in the middle.
        raise ValueError("the URL contains white space or control characters; remove them")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(
            f"the URL is malformed; check brackets around an IPv6 address and {ENCODE_HINT}"
        ) from None
    if parts.scheme not in default_ports:
        raise ValueError(f"the URL does not begin with {schemes}")
    if any("@" in part for part in (parts.path, parts.query, parts.fragment)):
        # user:12/3@host would otherwise pass for host "user", port 12, and be shown as such.
        raise ValueError(f"it is unclear where the URL's host begins: {ENCODE_HINT}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        # The text of the error quotes what stands where the port should be: often a password.
        raise ValueError(
            f"the URL's port is not a number of 1 to 65535; if its password has special "
            f"characters, {ENCODE_HINT}"
        ) from None
    if not host or port == 0 or len(host) > MAX_HOST_CHARACTERS:
        raise ValueError(f"the URL names no host and port; write {schemes}host:port")
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port or default_ports[parts.scheme],
        path=parts.path,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
