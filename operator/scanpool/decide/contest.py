"""Who contests the replicas, and how long the pool backs off instead of fighting.

who                                        | contested          | the pool
an older pool on the same target           | while it is there  | changes nothing
an HPA or ScaledObject that names it       | while it is there  | changes nothing
an autoscaler or GitOps that sets back     | from the first one | changes nothing, tries once in
                                           |                    | 1, 2, 4 ... 15 minutes
anybody else that sets back                | from the second in | the same
                                           | ten minutes        |

A person who sets replicas once has adjusted them, and the pool goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scanpool.models.rivals import FIELD_MANAGER, Rival, RivalKind, Writer, rival_of

# Replicas that someone else sets back within this time are contested, not adjusted.
REVERT_WINDOW_SECONDS = 600
# Set back this often, replicas are fought over; once may be a person's hand.
CONTESTED_REVERTS = 2
# What runs by itself does it again: of these once is enough.
TIRELESS = frozenset({RivalKind.AUTOSCALER, RivalKind.GITOPS})
# The first try comes after a GitOps controller's usual sync, the last ones as often as a person
# who mends it would like to see.
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 900.0
# 1, 2, 4, 8 and 15 minutes: one more doubling changes nothing.
MOST_DOUBLINGS = 4


class Revert(NamedTuple):
    """Replicas of the pool's that were set back at a time, and by whom, where that is told."""

    at: float
    by: Rival


@dataclass(frozen=True, slots=True)
class Contest:
    """Who contests the replicas, since when, and until when the pool leaves them alone.

    `until` is None where the rival has to go first. `reverts` is how often it set them back.
    """

    by: Rival
    since: float
    until: float | None
    reverts: int = 0

    def holds(self, now: float) -> bool:
        """Tell whether the pool leaves the replicas alone now."""
        return self.until is None or now < self.until


def set_back(writers: Sequence[Writer], now: float) -> Revert:
    """Return that replicas were set back: by the newest of their owners that is not the pool."""
    others = [one for one in writers if one.manager != FIELD_MANAGER]
    newest = max(others or writers, key=lambda one: one.at, default=None)
    by = Rival(RivalKind.OTHER, "something else", now) if newest is None else rival_of(newest)
    return Revert(now, by)


def remembered(reverts: Sequence[Revert], now: float) -> tuple[Revert, ...]:
    """Return what still counts: until ten minutes after the next try was free to come."""
    if reverts and now < reverts[-1].at + backoff_seconds(reverts) + REVERT_WINDOW_SECONDS:
        return tuple(reverts)
    return ()


def backoff_seconds(reverts: Sequence[Revert]) -> float:
    """Return how long the pool waits after the last one; not at all after one that may be a hand.

    The more often it was in vain, the longer.
    """
    counted = len(reverts) if _is_tireless(reverts) else len(reverts) - CONTESTED_REVERTS + 1
    if counted < 1:
        return 0.0
    doubled: float = FIRST_BACKOFF_SECONDS * 2 ** min(counted - 1, MOST_DOUBLINGS)
    return min(doubled, LONGEST_BACKOFF_SECONDS)


def judge(rivals: Sequence[Rival], reverts: Sequence[Revert]) -> Contest | None:
    """Return who contests the replicas: whoever stands there, else whoever has set them back."""
    if rivals:
        # Of several the one that was there first.
        eldest = min(rivals, key=lambda one: one.since)
        return Contest(eldest, eldest.since, None, len(reverts))
    wait = backoff_seconds(reverts)
    if not wait:
        return None
    return Contest(reverts[-1].by, reverts[0].at, reverts[-1].at + wait, len(reverts))


def reason(contest: Contest) -> str:
    """Say whom the pool leaves the replicas to."""
    if contest.until is None:
        return f"the replicas are left to {contest.by.name}"
    return f"{contest.by.name} sets the replicas back: they are left alone for a while"


def _is_tireless(reverts: Sequence[Revert]) -> bool:
    return bool(reverts) and reverts[-1].by.kind in TIRELESS
