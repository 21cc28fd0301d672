"""How a broker is asked: its hosts in turn, and once for all who ask for the same."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.units import Clock
from scanpool.observe.noted import Note, noted
from scanpool.observe.shared_reads import SharedReads
from scanpool.sources import management
from scanpool.sources.broker_access import WORTH_ANOTHER_HOST, Access, hosts
from scanpool.sources.failures import reading
from scanpool.sources.http import HttpClients

T = TypeVar("T")


class Asking:
    """The hosts of a broker. `note` is told of each read."""

    def __init__(
        self, http: HttpClients, shared: SharedReads, note: Note, access: Access, clock: Clock
    ) -> None:
        self._http = http.get(access.ca_pem, access.identity, access.server_name)
        self._shared = shared
        self._note = note
        self._access = access
        self._hosts = list(hosts(access.url))
        self._clock = clock

    def ask_with(self, token: str | None) -> None:
        """Ask with this token from now on: they end, and what is known of the broker does not."""
        # Asked by each reading of each pool, and hardly ever with another.
        if token != self._access.token:
            self._access = replace(self._access, token=token)

    async def read(
        self,
        what: str,
        age: float,
        read: Callable[..., Awaitable[Reading[T]]],
        *asked: str | int,
    ) -> Reading[T]:
        """Read what was `asked` for, no older than `age` seconds."""
        return await self.share((what, *asked), age, partial(self.in_turn, read, *asked))

    async def share(
        self, what: Hashable, age: float, read: Callable[[], Awaitable[Reading[T]]]
    ) -> Reading[T]:
        """Return the answer that others got who asked for the same, if it is no older."""
        return await self._shared.get((what, self._access), age, read)

    async def in_turn(
        self, read: Callable[..., Awaitable[Reading[T]]], *asked: str | int
    ) -> Reading[T]:
        """Ask the host that answered last, then the others: never what was read before."""
        failures: list[Unavailable] = []
        for host in tuple(self._hosts):
            access = self._access.at(host)
            ask = partial(reading(read), self._http, access, *asked, clock=self._clock)
            found = await noted(self._note, management.SOURCE, ask)
            if isinstance(found, Available) or found.reason not in WORTH_ANOTHER_HOST:
                self._hosts.remove(host)
                self._hosts.insert(0, host)
                return found
            failures.append(found)
        messages = dict.fromkeys(one.message for one in failures)
        return Unavailable(failures[0].reason, "; ".join(messages))


def together(
    names: Sequence[str], found: Sequence[Reading[T | None]], at: float
) -> Reading[Mapping[str, T]]:
    """Return reports that were read one by one; those of None are of queues that do not exist."""
    reports: dict[str, T] = {}
    for name, one in zip(names, found, strict=True):
        if isinstance(one, Unavailable):
            return one
        if one.value is not None:
            reports[name] = one.value
    return Available(reports, at, management.SOURCE)
