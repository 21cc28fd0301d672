"""How pools on one key and model share its limit, beside what others on the key use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import NamedTuple

from scanpool.decide.fair import LAST_REPLICA, Ask, in_replicas, whole
from scanpool.models.claims import Claim, Need, Share, Unit
from scanpool.models.fields import MOST_REPLICAS

# Learned costs of equal pools differ by up to 15% in the replay: what differs by less is equal.
CLEARLY = 0.25


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a pool may have of a limit that it shares.

    It may grow to `fits` replicas, and is left alone up to `keeps`. `total` is what there is for
    all pools, `share` and `others` are how it is split, in tokens per minute. What it `owes` a
    higher class that waits for it is given back at once.
    """

    fits: int
    keeps: int
    total: float
    share: Share
    others: tuple[Share, ...]
    owes: bool = False


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
    # What an idle one holds is not used, and it asks for nothing.
    asking = [
        replace(one, floor=0, wanted=0, held=0, wanted_lately=0) if one.is_idle else one
        for one in peers
    ]
    needs |= {one.pool: need for one in asking if (need := _need(unit, one)) is not None}
    others = sorted((one for one in asking if one.pool in needs), key=lambda one: one.pool)
    views = _views([(me, mine), *((one, needs[one.pool]) for one in others)])
    plan = min(view.plan for view in views)
    grow = min(view.grow for view in views)
    keep = min(view.keep for view in views)

    lent = {one.pool: _lent(one, needs[one.pool], me, mine) for one in others}
    asks = [_ask(one, needs[one.pool], _asked(one, me), lent[one.pool]) for one in others]
    greedy = [_ask(me, mine, MOST_REPLICAS), *asks]
    entitled = in_replicas(plan, greedy)[me.pool]
    held = fsum(
        _there(one, me) * ask.step - lent[one.pool] for one, ask in zip(others, asks, strict=True)
    )
    room = whole(free(grow, held) / mine.per_replica)
    if grow > 0 and not held:
        room = max(room, LAST_REPLICA)
    fits = min(entitled, max(me.held, room))

    actual = [_ask(me, mine, max(me.wanted, me.floor)), *asks]
    granted = in_replicas(plan, actual)
    keeps = entitled
    if not any(_is_worse_off(ask, actual[0], granted[ask.name]) for ask in asks):
        keeps = max(entitled, whole(free(keep, held) / mine.per_replica))
    owes = any(ask.priority > me.priority and ask.held < granted[ask.name] for ask in asks)
    own, *theirs = _shares(plan, actual, granted)
    return Entitlement(fits, keeps, plan, own, tuple(theirs), owes)


def _lent(peer: Claim, need: Need, me: Claim, mine: Need) -> float:
    """Return what a peer of a higher class leaves of what it has, in tokens per minute.

    Only while the bucket is full: it carries what the peer takes back at once, until I have given
    it back. One that waits for more leaves nothing.
    """
    is_calm = peer.priority > me.priority and max(peer.wanted, peer.wanted_lately) <= peer.held
    return need.spare if is_calm and mine.is_full else 0.0


def _asked(peer: Claim, me: Claim) -> int:
    """Return the replicas that I have to reckon with a peer wanting.

    What one of a higher class wanted a moment ago is kept for it: a want that comes and goes with
    every message would else move mine to and fro, and never find it free.
    """
    lately = peer.wanted_lately if peer.priority > me.priority else 0
    return max(peer.wanted, peer.floor, lately)


def _there(peer: Claim, me: Claim) -> int:
    """Return the replicas of a peer that are in my way.

    Those of a lower class until they have drained: they go on with what they have in hand. Between
    equals both sides come and go, and the bucket carries what overlaps.
    """
    return peer.held + (peer.draining if peer.priority < me.priority else 0)


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
    the two only change places, another reading would change them back. A higher class comes first
    at once, and a lower one only up to its floor.
    """
    if peer.held >= granted:
        return False
    if peer.priority > mine.priority:
        return True
    if peer.held * peer.step < min(peer.floor, peer.claim) and mine.held * mine.step > mine.floor:
        return True
    if peer.priority < mine.priority:
        return False
    left = (mine.held - 1) * mine.step / mine.weight
    return left > (1 + CLEARLY) * peer.held * peer.step / peer.weight


def _need(unit: Unit, claim: Claim) -> Need | None:
    """Return the need of a pool whose replicas cost any of this limit."""
    need = claim.needs.get(unit)
    return need if need is not None and need.per_replica > 0 else None


def _ask(claim: Claim, need: Need, wanted: int, lent: float = 0.0) -> Ask:
    step = need.per_replica
    return Ask(
        claim.pool,
        claim.weight,
        min(claim.floor * step, max(wanted * step - lent, 0.0)),
        max(wanted * step - lent, 0.0),
        step,
        claim.held,
        claim.priority,
    )


def _shares(total: float, asks: Sequence[Ask], granted: Mapping[str, int]) -> list[Share]:
    """Return the grants in tokens per minute; a last replica is granted no more than there is."""
    return [
        Share(ask.name, ask.weight, ask.claim, min(granted[ask.name] * ask.step, max(total, 0.0)))
        for ask in asks
    ]
