"""What a pool that only observes would have done, over the last hour.

desired                        | a change that would have been made
what the Deployment asks for   | no: nothing is left to do
what was decided on before     | no: it is the same one, which nobody has made
another number                 | yes, from what the target asks for
not known: the pool holds      | no, and the last decision stands

A target that another autoscaler brings to the number that was decided on is no change either.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from scanpool.models.base import Model
from scanpool.models.conditions import LimitedBy
from scanpool.models.figures import NEVER, Noise

PERIOD_SECONDS = 3600
# What is counted is forgotten in steps of so many seconds: a dozen counts, however many changes.
SLOT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision would have made of the replicas, at a time in seconds since the epoch."""

    at: float
    before: int
    after: int
    limited_by: LimitedBy
    reason: str


@dataclass(frozen=True, slots=True)
class Slot:
    """How many changes there were from a time on, in seconds since the epoch."""

    at: int
    changes: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The replicas that were decided on last, the changes by slots, and the newest of this process.

    `desired` is None until anything has been decided.
    """

    desired: int | None = None
    slots: tuple[Slot, ...] = ()
    latest: Change | None = None

    @property
    def changes(self) -> int:
        """Changes of the last hour."""
        return sum(slot.changes for slot in self.slots)


def step(observed: Observed, decided: Change, *, holds: bool) -> Observed:
    """Return what would have been done, after one more decision, be it a change or none."""
    desired, current = decided.after, decided.before
    slots = tuple(slot for slot in observed.slots if is_recent(slot.at, decided.at))
    known = replace(observed, slots=slots)
    if holds and desired == current:
        return known
    if desired in (current, known.desired):
        return replace(known, desired=desired)
    begun = int(decided.at // SLOT_SECONDS) * SLOT_SECONDS
    *earlier, last = known.slots or (Slot(begun, 0),)
    if last.at != begun:
        earlier, last = [*earlier, last], Slot(begun, 0)
    return Observed(desired, (*earlier, replace(last, changes=last.changes + 1)), decided)


def is_recent(at: float, now: float) -> bool:
    """Tell whether a time is within the last hour."""
    return at > now - PERIOD_SECONDS


class KeptSlot(Model):
    """How many changes there were from a time on."""

    at: int
    changes: int


class KeptObserved(Model):
    """What of it survives the process. It rides along with the next write and causes none."""

    would_have: Annotated[int | None, Noise(NEVER)] = None
    would_have_changed: Annotated[tuple[KeptSlot, ...] | None, Noise(NEVER)] = None


NOTHING_KEPT = KeptObserved()


def kept(observed: Observed | None) -> KeptObserved:
    """Return what the next process needs."""
    if observed is None:
        return NOTHING_KEPT
    slots = tuple(KeptSlot(at=one.at, changes=one.changes) for one in observed.slots)
    return KeptObserved(would_have=observed.desired, would_have_changed=slots or None)


def restored(kept: KeptObserved) -> Observed | None:
    """Return what a process starts with."""
    if kept.would_have is None and not kept.would_have_changed:
        return None
    slots = tuple(Slot(one.at, one.changes) for one in kept.would_have_changed or ())
    return Observed(kept.would_have, slots)
