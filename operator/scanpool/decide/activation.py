"""From zero and back to it: what makes a pool active, and how long it stays so.

As KEDA's activation and cooldown, where minReplicas is 0. A queue is active above its
activationMessages; the pool is while any of its queues is.

replicas | active          | replicas may be
0        | yes             | what is asked for
0        | no              | 0
some     | within cooldown | what is asked for, and 1 at least
some     | not for longer  | 0
some     | no cooldown set | what is asked for: the window of scaling down decides
"""

from dataclasses import dataclass
from math import inf

from scanpool.decide.signals import Signals
from scanpool.models.spec import PoolSpec


@dataclass(frozen=True, slots=True)
class Activity:
    """When the pool was last active, in seconds since the epoch. No restart keeps it."""

    active_at: float = -inf


def step(activity: Activity, signals: Signals) -> Activity:
    """Return the activity after a look. A queue that cannot be read may have messages."""
    backlog = signals.backlog
    if backlog is None or backlog.is_active or signals.unseen or signals.is_first_look:
        return Activity(signals.now)
    return activity


@dataclass(frozen=True, slots=True)
class Turn:
    """What activity makes of the replicas that are asked for."""

    replicas: int
    reason: str


def turn(spec: PoolSpec, activity: Activity, current: int, asked: int, now: float) -> Turn | None:
    """Return what the pool may have of what is `asked`; None where activity has no say."""
    if spec.min_replicas > 0:
        return None
    idle_seconds = now - activity.active_at
    if current == 0:
        if idle_seconds <= 0:
            return None
        return Turn(0, "no queue has more than its activationMessages")
    if spec.cooldown_seconds is None:
        return None
    if idle_seconds <= 0 or idle_seconds < spec.cooldown_seconds:
        return Turn(max(asked, 1), f"active within the cooldown of {spec.cooldown_seconds} s")
    return Turn(0, f"not active for the cooldown of {spec.cooldown_seconds} s")
