"""Which servers the operator may be sent to by a pool: whoever writes pools chooses their URLs."""

from dataclasses import dataclass
from typing import Final

from scanpool.models.conditions import Reason
from scanpool.sources.failures import SourceError
from scanpool.sources.text import quoted

BELOW: Final = "*."
"""What a pattern begins with that means every host below a domain."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that the operator's administrator allows; without `patterns` every host is.

    A pattern is a host, or `*.` and a domain for all hosts below it, each with `:port` if only that
    port is meant; an IPv6 address with a port stands in brackets. Names are compared as they are
    written: nothing is resolved.
    """

    patterns: tuple[str, ...] = ()

    def check(self, host: str, port: int) -> None:
        """Raise SourceError unless requests may go there."""
        if self.patterns and not any(_matches(one, host, port) for one in self.patterns):
            raise SourceError(
                Reason.HOST_NOT_ALLOWED,
                f"the operator does not ask {quoted(host)}:{port}: it may ask the hosts of its "
                "option --allow-host only; correct the URL, or have its administrator add the host",
            )


def _matches(pattern: str, host: str, port: int) -> bool:
    name, told = _parts(pattern.strip().lower())
    if told and told != str(port):
        return False
    # With the dot of the root a name is the same host.
    asked = host.lower().rstrip(".")
    if name.startswith(BELOW):
        return asked.endswith(name[1:]) and asked != name[2:]
    return asked == name.rstrip(".")


def _parts(pattern: str) -> tuple[str, str]:
    """Return the host of a pattern, and its port or nothing."""
    if pattern.startswith("["):
        name, _, rest = pattern[1:].partition("]")
        return name, rest.removeprefix(":")
    if pattern.count(":") == 1:
        name, _, port = pattern.partition(":")
        return name, port
    return pattern, ""
