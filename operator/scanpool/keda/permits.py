"""What each pool of this process may have, as of its last tick, for whoever asks between two."""

import asyncio
from dataclasses import dataclass, field

from scanpool.decide.permit import Permit
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.units import Clock


@dataclass(frozen=True, slots=True)
class Told:
    """What a tick told of a pool. It counts until `until`; `is_old` is set by what follows it."""

    found: Permit | Unavailable
    until: float
    is_old: asyncio.Event = field(default_factory=asyncio.Event)


class Permits:
    """The last word of each pool's ticks. `clock` tells seconds since the epoch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], Told] = {}

    def tell(
        self, namespace: str, name: str, found: Permit | Unavailable, lasts_seconds: float
    ) -> None:
        """Replace what was told of a pool; it is of no account after so many seconds."""
        self.forget(namespace, name)
        self._told[namespace, name] = Told(found, self._clock() + lasts_seconds)

    def forget(self, namespace: str, name: str) -> None:
        """Drop what was told of a pool: it is gone."""
        if (old := self._told.pop((namespace, name), None)) is not None:
            old.is_old.set()

    def told(self, namespace: str, name: str) -> Told | None:
        """Return what was told of a pool; None where nothing was."""
        told = self._told.get((namespace, name))
        if told is None or self._clock() < told.until:
            return told
        stuck = Unavailable(Reason.TICKS_STUCK, "no tick of it has ended in time; see its status")
        return Told(stuck, told.until, told.is_old)
