"""Looks at the level of the provider's bucket, and what they tell of the use between them.

    use = refill - change of the level / time;  others = use - the pool's own

A bucket that is full tells only that use is no more than its refill.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import NamedTuple

from scanpool.models.units import SECONDS_PER_MINUTE

# Above this share of its capacity a bucket may have been full since the last look, and what flowed
# in while it was is lost: its level then tells more use than there was.
FULL_SHARE = 0.97
# Below this share of its capacity a bucket refuses calls: they tell nothing that it does not.
EMPTY_SHARE = 0.1
# Others' use is the mean over this time: what they take once a minute counts once in each.
MEAN_SECONDS = 60.0
# Less than this tells no rate: calls come in lumps.
LEAST_SECONDS = 20.0
# Two looks that are further apart say nothing of the time between them.
LONGEST_SPAN_SECONDS = 90.0
# A replica that has just become busy sends as many calls as it can hold, and they are charged when
# they begin. Until the first of them end, what it uses is more than its cost, and nobody else's.
FIRST_CALLS_SECONDS = 30.0
# Below this share of its capacity nothing can be waited for: first calls count, too.
SPARE_SHARE = 0.35
# A level that comes up faster than the limit flows in, by this share of the limit, was filled up by
# the clock: some gateways count in whole minutes.
STEP_SHARE = 0.02
# More than this share of its capacity no pool takes between two looks: it is somebody's batch.
BURST_SHARE = 0.2
# A level that has come up by so much of its capacity rises: a call takes less.
RISEN_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """The level of the bucket at a time, and its limit, in tokens.

    So many replicas were `ready` then, and as many of them `busy`; where none was, the pool used
    `idle` tokens per minute. While the provider is silent the level is reckoned on, and not
    `is_told`.
    """

    at: float
    tokens: int
    limit: int
    idle: float | None = None
    ready: int = 0
    busy: int = 0
    is_told: bool = True

    def own(self, per_replica: float | None) -> float | None:
        """Return what the pool used, in tokens per minute, with what a busy replica uses.

        Not what was measured: an average over a window in which replicas came or went is nobody's
        use now, and what else the level tells must rest on the same cost.
        """
        if not self.busy:
            return self.idle
        return None if per_replica is None else self.busy * per_replica

    @property
    def is_full(self) -> bool:
        """Whether what flowed in may have been lost."""
        return self.tokens >= FULL_SHARE * self.limit


Looks = tuple[Look, ...]
"""At one bucket of one limit, the newest last."""


class Mean(NamedTuple):
    """A mean use, in tokens per minute, over so many seconds of the last minute."""

    tokens: float
    seconds: float


def others(looks: Looks, per_replica: float | None, seconds: float = MEAN_SECONDS) -> Mean | None:
    """Return others' mean use over what the level tells of the last seconds; None: too little.

    `per_replica` is what a busy replica uses, in tokens per minute.
    """
    begin = looks[-1].at - seconds
    spans = [(length, use) for at, length, use in _spans(looks, per_replica) if at > begin]
    covered = fsum(length for length, _ in spans)
    if covered < LEAST_SECONDS:
        return None
    return Mean(fsum(length * use for length, use in spans) / covered, covered)


def carried_on(tokens: float, change: float, seconds: float, limit: int) -> float:
    """Return a level after some seconds in which it changes by so many tokens per minute."""
    return min(max(tokens + change * seconds / SECONDS_PER_MINUTE, 0.0), float(limit))


def lowest(looks: Looks, seconds: float) -> float:
    """Return the smallest level of the last seconds, as a share of the limit; 1 if none."""
    shares = (one.tokens / one.limit for one in looks if one.at >= looks[-1].at - seconds)
    return min(shares, default=1.0)


def largest_fall(looks: Looks) -> int:
    """Return the most that was taken between two looks of the last minute, in tokens.

    Somebody who takes so much at once may do it again.
    """
    recent = [one for one in looks if one.at >= looks[-1].at - MEAN_SECONDS]
    return max((one.tokens - two.tokens for one, two in pairwise(recent)), default=0)


def is_at_once(fall: int, limit: int) -> bool:
    """Tell whether whoever took so much takes it at once: others' mean is a rough one then."""
    return fall >= BURST_SHARE * limit


def has_risen(looks: Looks, since: float) -> bool:
    """Tell whether the level has come up since a time."""
    levels = [one.tokens for one in looks if one.at >= since]
    return len(levels) > 1 and levels[-1] - levels[0] >= RISEN_SHARE * looks[-1].limit


def is_stepped(looks: Looks) -> bool:
    """Tell whether the bucket is filled up by the clock, and does not refill as it is used."""
    return any(
        after.tokens > before.tokens and _is_step(before, after)
        for before, after in pairwise(looks)
    )


def _is_step(before: Look, after: Look) -> bool:
    flowed = after.limit * (after.at - before.at) / SECONDS_PER_MINUTE
    is_told = before.is_told and after.is_told
    return is_told and after.tokens - before.tokens > flowed + STEP_SHARE * after.limit


def _spans(looks: Looks, per_replica: float | None) -> Iterator[tuple[float, float, float]]:
    """Return, between each two looks that tell it: when, for how many seconds, others' use."""
    first_calls_until, by_clock = 0.0, is_stepped(looks)
    for before, after in pairwise(looks):
        if after.busy > before.busy:
            first_calls_until = after.at + FIRST_CALLS_SECONDS
        seconds = after.at - before.at
        is_first = after.at <= first_calls_until and after.tokens >= SPARE_SHARE * after.limit
        if before.is_full or after.is_full or is_first:
            continue
        first, last = before.own(per_replica), after.own(per_replica)
        if first is None or last is None or seconds > LONGEST_SPAN_SECONDS:
            continue
        if not (before.is_told and after.is_told):
            continue
        if by_clock and after.tokens > before.tokens:
            continue
        refill = 0 if by_clock else after.limit
        change = (after.tokens - before.tokens) * SECONDS_PER_MINUTE / seconds
        yield after.at, seconds, refill - change - (first + last) / 2
