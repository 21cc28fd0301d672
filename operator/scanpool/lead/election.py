"""The election, a pure function: what has been seen of the Lease, and what that allows.

holder of the Lease          | this process may take it
nobody, and never was        | at once
nobody, it was given back    | at once
this process                 | at once, which renews it
another                      | once the Lease has not changed for as long as it says it lasts
nobody: deleted or emptied   | after a whole Lease: its last holder may not know of it yet. At once,
                             | if that is this process, and its own time is not over

Time is this process's own: what another machine's clock has written is never reckoned with. The
figures are those of client-go, and so is the course: whoever leads says so every `retry_seconds`,
stops acting `renew_seconds` after it last could, and others wait for `seconds`, counted from when
they saw the last renewal, which is later than it was made.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from scanpool.models.lease import NOBODY, Lease

# client-go's defaults: 15 s for the Lease, 10 s for its holder to renew it, 2 s between attempts.
LEASE_SECONDS = 15
RENEW_SHARE = 10 / 15
RETRY_SHARE = 2 / 15


@dataclass(frozen=True, slots=True)
class Terms:
    """How long the Lease lasts, and what follows from that; in seconds."""

    seconds: int = LEASE_SECONDS

    @property
    def renew_seconds(self) -> float:
        """How long its holder may begin to write after the last renewal."""
        return self.seconds * RENEW_SHARE

    @property
    def retry_seconds(self) -> float:
        """How long between two looks at it, or two renewals."""
        return self.seconds * RETRY_SHARE


@dataclass(frozen=True, slots=True)
class Seen:
    """The Lease as last seen; None: there is none. Another may act on it until `taken_until`.

    No other can have taken it before `mine_until`. Monotonic seconds, of this process.
    """

    lease: Lease | None = None
    taken_until: float = -inf
    mine_until: float = -inf


class Candidate(NamedTuple):
    """Who stands: `name` tells this process from all others, also from its own former lives."""

    name: str
    terms: Terms


def look(seen: Seen, found: Lease | None, me: Candidate, now: float) -> Seen:
    """Return what is known after a look; `now` is when the answer had come."""
    if found is None or (found.holder == NOBODY and found.renewed_at is None):
        if seen.lease is None or now < seen.mine_until:
            return replace(seen, lease=found)
        return Seen(found, max(seen.taken_until, now + me.terms.seconds))
    if seen.lease is not None and seen.lease.version == found.version:
        return seen
    if found.holder == me.name:
        return replace(seen, lease=found, taken_until=-inf)
    return Seen(found, now + found.seconds if found.holder != NOBODY else -inf)


def may_take(seen: Seen, now: float) -> bool:
    """Tell whether nobody else can still be acting on the Lease."""
    return now >= seen.taken_until


def wait_seconds(seen: Seen, terms: Terms, now: float) -> float:
    """Return when to look again: at the next retry, or as soon as the Lease runs out."""
    if seen.taken_until <= now:
        return terms.retry_seconds
    return min(terms.retry_seconds, seen.taken_until - now)


def bid(seen: Seen, me: Candidate, stamp: str) -> Lease:
    """Return the Lease to write: its renewal, or its taking; `stamp` is the time of day."""
    before = seen.lease or Lease()
    if before.holder == me.name:
        return replace(before, seconds=me.terms.seconds, renewed_at=stamp)
    # The first holder of all takes it from nobody.
    changes = before.transitions + (before.acquired_at is not None)
    return Lease(me.name, me.terms.seconds, stamp, stamp, changes, before.version)


def given_back(held: Lease, stamp: str) -> Lease:
    """Return the Lease to write when its holder ends: anyone may then take it at once."""
    # The shortest that the API takes: no holder of it acts.
    return replace(held, holder=NOBODY, seconds=1, renewed_at=stamp)
