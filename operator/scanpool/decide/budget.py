"""How pools on one key and model share its limit: weighted max-min fairness.

    grant_i = min(claim_i, max(min(floor_i, claim_i), weight_i x level))

in tokens (or requests) per minute, with the level at which the grants sum to what there is. It is
the water filling of Bertsekas and Gallager, Data Networks (2nd ed., 1992), section 6.5.2, with
weights and floors: everyone's grant rises with the level until the claim is met, and what one
leaves is the others'. A grant cannot be raised without lowering one that is smaller for its weight.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import floor, fsum, inf
from typing import NamedTuple

from scanpool.models.budget import Claim, Need, Share, Unit
from scanpool.models.fields import MOST_REPLICAS

# A share that misses a whole replica by no more than this, in replicas, missed it by rounding:
# errors of floats at 10,000 replicas are a thousandth of it.
ROUNDING_REPLICAS = 1e-9
ROUNDING_DIGITS = 9
# Learned costs of equal pools differ by up to 15% in the replay: what differs by less is equal.
CLEARLY = 0.25
# Where a single replica costs more than there is, the choice is it or nothing: pools that may go to
# zero would then never work off a message.
LAST_REPLICA = 1


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pool asks of a limit.

    `floor`, `claim` and `step` are in tokens per minute: what it gets before anyone gets more, all
    that it could use, and what one replica costs, which is above 0. `held` is in replicas. Names
    differ, weights are above 0.
    """

    name: str
    weight: int
    floor: float
    claim: float
    step: float
    held: int


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a pool may have of a limit that it shares.

    It may grow to `fits` replicas, and is left alone up to `keeps`. `total` is what there is for
    all pools, `share` and `others` are how it is split, in tokens per minute.
    """

    fits: int
    keeps: int
    total: float
    share: Share
    others: tuple[Share, ...]


def share(total: float, asks: Sequence[Ask]) -> dict[str, float]:
    """Return each one's weighted max-min fair grant of `total`, by name, in tokens per minute.

    They sum to the smaller of the total and all claims. Floors that do not fit are shared the same
    way, as if they were the claims.
    """
    floors = {ask.name: min(ask.floor, ask.claim) for ask in asks}
    if total <= 0:
        return dict.fromkeys(floors, 0.0)
    if fsum(floors.values()) <= total:
        ranges = [_Range(ask.weight, floors[ask.name], ask.claim) for ask in asks]
    else:
        ranges = [_Range(ask.weight, 0.0, floors[ask.name]) for ask in asks]
    level = _level(total, ranges)
    return {ask.name: one.at(level) for ask, one in zip(asks, ranges, strict=True)}


def in_replicas(total: float, asks: Sequence[Ask]) -> dict[str, int]:
    """Return the grants of `total` tokens per minute in whole replicas, by name.

    Everyone gets the whole replicas of its share. The rest is given out one by one, as long as one
    fits, to who claims more: first to who would have to give one back otherwise, then to whom the
    largest part of a replica is missing. If no replica fits at all, the first of them gets the last
    replica, and nobody else any.
    """
    shares = share(total, asks)
    parts = {ask.name: shares[ask.name] / ask.step for ask in asks}
    given = {name: _whole(part) for name, part in parts.items()}
    rest = total - fsum(given[ask.name] * ask.step for ask in asks)
    waiting = [
        (_turn(ask, parts[ask.name], given[ask.name]), ask)
        for ask in asks
        if given[ask.name] < _whole(ask.claim / ask.step)
    ]
    heapify(waiting)
    first = waiting[0][1] if waiting else None
    while waiting:
        _, ask = heappop(waiting)
        if not _whole(rest / ask.step):
            # The rest only shrinks, so this one's turn is over. There are few turns: all but a
            # part of a replica of each share is given out already.
            continue
        given[ask.name] += 1
        rest -= ask.step
        if given[ask.name] < _whole(ask.claim / ask.step):
            heappush(waiting, (_turn(ask, parts[ask.name], given[ask.name]), ask))
    if total > 0 and first is not None and not any(given.values()):
        given[first.name] = LAST_REPLICA
    return given


def free(total: float, others: float) -> float:
    """Return what a pool may grow into, in tokens per minute: what the others do not hold.

    They keep what they hold, be it more than they are entitled to, until they have given it back.
    """
    return max(total - others, 0.0)


def entitlement(unit: Unit, me: Claim, peers: Sequence[Claim]) -> Entitlement | None:
    """Return what `me` may have of a limit beside its peers; None if it has no need of it.

    The most careful view of what there is counts for all. How far the pool may grow does not depend
    on what it wants now, only on what the others want. More than that it keeps, up to the upper
    edge, while no peer is worse off for it: noisy readings would else move replicas to and fro.
    """
    mine = _need(unit, me)
    if mine is None:
        return None
    needs = {me.pool: mine}
    needs |= {one.pool: need for one in peers if (need := _need(unit, one)) is not None}
    others = sorted((one for one in peers if one.pool in needs), key=lambda one: one.pool)
    views = _views([(me, mine), *((one, needs[one.pool]) for one in others)])
    plan = min(view.plan for view in views)
    grow = min(view.grow for view in views)
    keep = min(view.keep for view in views)

    asks = [_ask(one, needs[one.pool], max(one.wanted, one.floor)) for one in others]
    greedy = [_ask(me, mine, MOST_REPLICAS), *asks]
    entitled = in_replicas(plan, greedy)[me.pool]
    held = fsum(ask.held * ask.step for ask in asks)
    room = _whole(free(grow, held) / mine.per_replica)
    if grow > 0 and not held:
        room = max(room, LAST_REPLICA)
    fits = min(entitled, max(me.held, room))

    actual = [_ask(me, mine, max(me.wanted, me.floor)), *asks]
    granted = in_replicas(plan, actual)
    keeps = entitled
    if not any(_is_worse_off(ask, actual[0], granted[ask.name]) for ask in asks):
        keeps = max(entitled, _whole(free(keep, held) / mine.per_replica))
    own, *theirs = _shares(plan, actual, granted)
    return Entitlement(fits, keeps, plan, own, tuple(theirs))


class _View(NamedTuple):
    """What one pool finds for all pools together, in tokens per minute.

    `grow` is how far they may grow now; `plan` and `keep` are what is shared and kept.
    """

    plan: float
    grow: float
    keep: float


def _views(needs: Sequence[tuple[Claim, Need]]) -> list[_View]:
    """Return what each pool finds: what others use is theirs as far as it is no pool's.

    The claims are older than the readings. A pool that has grown since uses what it holds, and one
    that has shrunk still shows what it used. So too much is put down to a pool that is idle, but
    that one's own view is right, and the most careful one counts.
    """
    used = [max(need.own, claim.held * need.per_replica) for claim, need in needs]
    everyone = fsum(used)
    found = []
    for (_, need), own in zip(needs, used, strict=True):
        outside = max(need.others - (everyone - own), 0.0)
        plan = need.plan - need.factor * outside
        grow = min(plan, need.most - outside)
        found.append(_View(plan, grow, need.keep - need.factor * outside))
    return found


def _is_worse_off(peer: Ask, mine: Ask, granted: int) -> bool:
    """Tell whether a replica of mine is more fairly the peer's.

    It is if, for its weight, the peer then still has less than I have left, and clearly so: where
    the two only change places, another reading would change them back.
    """
    if peer.held >= granted:
        return False
    if peer.held * peer.step < min(peer.floor, peer.claim) and mine.held * mine.step > mine.floor:
        return True
    left = (mine.held - 1) * mine.step / mine.weight
    return left > (1 + CLEARLY) * peer.held * peer.step / peer.weight


class _Range(NamedTuple):
    """Between what and what a grant follows the level, in tokens per minute."""

    weight: int
    least: float
    most: float

    def at(self, level: float) -> float:
        return min(self.most, max(self.least, self.weight * level))


def _level(total: float, ranges: Sequence[_Range]) -> float:
    """Return the level at which the grants sum to `total`, infinite if they never reach it.

    Their sum bends where a grant starts or stops to follow the level, and is straight between.
    """

    def granted(level: float) -> float:
        return fsum(one.at(level) for one in ranges)

    bends = sorted({edge / one.weight for one in ranges for edge in (one.least, one.most)})
    above = bisect_left(bends, total, key=granted)
    if above == len(bends):
        return inf
    if above == 0:
        return bends[0]
    low, high = bends[above - 1], bends[above]
    return low + (high - low) * ((total - granted(low)) / (granted(high) - granted(low)))


def _whole(replicas: float) -> int:
    """Round down to a number of replicas that a pool can have, whatever a tiny cost makes of it."""
    return floor(min(max(replicas, 0.0) + ROUNDING_REPLICAS, MOST_REPLICAS))


def _turn(ask: Ask, part: float, given: int) -> tuple[bool, float, float, str]:
    """Return the key by which a further replica is due: the smallest comes first.

    What is missing is rounded, so that equal shares are a tie whatever the order of a sum was.
    """
    return given >= ask.held, round(given - part, ROUNDING_DIGITS), -ask.weight, ask.name


def _need(unit: Unit, claim: Claim) -> Need | None:
    """Return the need of a pool whose replicas cost any of this limit."""
    need = claim.needs.get(unit)
    return need if need is not None and need.per_replica > 0 else None


def _ask(claim: Claim, need: Need, wanted: int) -> Ask:
    step = need.per_replica
    return Ask(claim.pool, claim.weight, claim.floor * step, wanted * step, step, claim.held)


def _shares(total: float, asks: Sequence[Ask], granted: Mapping[str, int]) -> list[Share]:
    """Return the grants in tokens per minute; a last replica is granted no more than there is."""
    return [
        Share(ask.name, ask.weight, ask.claim, min(granted[ask.name] * ask.step, max(total, 0.0)))
        for ask in asks
    ]
