"""Weighted max-min fairness: how claims share what there is.

    grant_i = min(claim_i, max(min(floor_i, claim_i), weight_i x level))

in tokens (or requests) per minute, with the level at which the grants sum to what there is. It is
the water filling of Bertsekas and Gallager, Data Networks (2nd ed., 1992), section 6.5.2, with
weights and floors: everyone's grant rises with the level until the claim is met, and what one
leaves is the others'. A grant cannot be raised without lowering one that is smaller for its weight.

That holds within a class of one priority. Floors of all classes come first; beyond them a class has
what the higher ones leave, as if it were all that there is.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import floor, fsum, inf
from typing import NamedTuple

from scanpool.models.fields import MOST_REPLICAS

# A share that misses a whole replica by no more than this, in replicas, missed it by rounding:
# errors of floats at 10,000 replicas are a thousandth of it.
ROUNDING_REPLICAS = 1e-9
ROUNDING_DIGITS = 9
# Where a single replica costs more than there is, the choice is it or nothing: pools that may go to
# zero would then never work off a message.
LAST_REPLICA = 1


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pool asks of a limit.

    `floor`, `claim` and `step` are in tokens per minute: what it gets before anyone gets more, all
    that it could use, and what one replica costs, which is above 0. `held` is in replicas. Names
    differ, weights are above 0. A higher priority comes first.
    """

    name: str
    weight: int
    floor: float
    claim: float
    step: float
    held: int
    priority: int = 0


def share(total: float, asks: Sequence[Ask]) -> dict[str, float]:
    """Return each one's weighted max-min fair grant of `total`, by name, in tokens per minute.

    They sum to the smaller of the total and all claims. Floors that do not fit are shared the same
    way, as if they were the claims, whatever the class.
    """
    floors = {ask.name: min(ask.floor, ask.claim) for ask in asks}
    if total <= 0:
        return dict.fromkeys(floors, 0.0)
    if fsum(floors.values()) > total:
        return _filled(total, {ask.name: _Range(ask.weight, 0.0, floors[ask.name]) for ask in asks})
    grants: dict[str, float] = {}
    for priority in sorted({ask.priority for ask in asks}, reverse=True):
        below = fsum(floors[ask.name] for ask in asks if ask.priority < priority)
        grants |= _filled(
            total - below - fsum(grants.values()),
            {
                ask.name: _Range(ask.weight, floors[ask.name], ask.claim)
                for ask in asks
                if ask.priority == priority
            },
        )
    return grants


def in_replicas(total: float, asks: Sequence[Ask]) -> dict[str, int]:
    """Return the grants of `total` tokens per minute in whole replicas, by name.

    Everyone gets the whole replicas of its share. The rest is given out one by one, as long as one
    fits, to who claims more: the highest class first; in it, first to who would have to give one
    back otherwise, then to whom the largest part of a replica is missing. If no replica fits at
    all, the first of them gets the last replica, and nobody else any.
    """
    shares = share(total, asks)
    parts = {ask.name: shares[ask.name] / ask.step for ask in asks}
    given = {name: whole(part) for name, part in parts.items()}
    rest = total - fsum([given[ask.name] * ask.step for ask in asks])
    waiting = [
        (_turn(ask, parts[ask.name], given[ask.name]), ask)
        for ask in asks
        if given[ask.name] < whole(ask.claim / ask.step)
    ]
    heapify(waiting)
    first = waiting[0][1] if waiting else None
    least = min((ask.step for _, ask in waiting), default=inf)
    while waiting and whole(rest / least):
        _, ask = heappop(waiting)
        if not whole(rest / ask.step):
            # The rest only shrinks, so this one's turn is over. There are few turns: all but a
            # part of a replica of each share is given out already.
            continue
        given[ask.name] += 1
        rest -= ask.step
        if given[ask.name] < whole(ask.claim / ask.step):
            heappush(waiting, (_turn(ask, parts[ask.name], given[ask.name]), ask))
    if total > 0 and first is not None and not any(given.values()):
        given[first.name] = LAST_REPLICA
    return given


def whole(replicas: float) -> int:
    """Round down to a number of replicas that a pool can have, whatever a tiny cost makes of it."""
    return floor(min(max(replicas, 0.0) + ROUNDING_REPLICAS, MOST_REPLICAS))


class _Range(NamedTuple):
    """Between what and what a grant follows the level, in tokens per minute."""

    weight: int
    least: float
    most: float

    def at(self, level: float) -> float:
        return min(self.most, max(self.least, self.weight * level))


def _filled(total: float, ranges: Mapping[str, _Range]) -> dict[str, float]:
    level = _level(total, list(ranges.values()))
    return {name: one.at(level) for name, one in ranges.items()}


def _level(total: float, ranges: Sequence[_Range]) -> float:
    """Return the level at which the grants sum to `total`, infinite if they never reach it.

    Their sum bends where a grant starts or stops to follow the level, and is straight between.
    """

    def granted(level: float) -> float:
        # As `at`, without a call for each: a key may have thousands of claims.
        return fsum(
            [
                most if (grant := weight * level) > most else max(least, grant)
                for weight, least, most in ranges
            ]
        )

    bends = sorted({edge / one.weight for one in ranges for edge in (one.least, one.most)})
    above = bisect_left(bends, total, key=granted)
    if above == len(bends):
        return inf
    if above == 0:
        return bends[0]
    low, high = bends[above - 1], bends[above]
    return low + (high - low) * ((total - granted(low)) / (granted(high) - granted(low)))


def _turn(ask: Ask, part: float, given: int) -> tuple[int, bool, float, float, str]:
    """Return the key by which a further replica is due: the smallest comes first.

    What is missing is rounded, so that equal shares are a tie whatever the order of a sum was.
    """
    missing = round(given - part, ROUNDING_DIGITS)
    return -ask.priority, given >= ask.held, missing, -ask.weight, ask.name
