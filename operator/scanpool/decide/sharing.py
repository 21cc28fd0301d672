"""How pools on one key and model share its limit, beside what others on the key use.

Where there is more than all claims come to, everyone gets what it asks for, and nothing has to be
split: sums are enough then (budget.py), however many pools there are. Else `fair` splits it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scanpool.decide.ask import Ask, whole
from scanpool.decide.budget import Beside
from scanpool.decide.claimed import Others, others
from scanpool.decide.exact import exact, rounded
from scanpool.decide.rows import Part, Row, Standpoint, needed, part
from scanpool.decide.turns import LAST_REPLICA
from scanpool.decide.watermarks import APART
from scanpool.models.claims import Claim, Need, Share, Unit
from scanpool.models.fields import MOST_REPLICAS

# Learned costs of equal pools differ by up to 15% in the replay: what differs by less is equal.
CLEARLY = 0.25
# Other claimants that are named. A thousand pools that name each other are a million names.
NAMED_OTHERS = 5


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a pool may have of a limit that it shares.

    It may grow to `fits` replicas, and is left alone up to `keeps`. `total` is what there is for
    all pools, `share` and `others` are how it is split, in tokens per minute: the others are those
    that claim most, by name, beside `more_others`. `first_pool` is the first of all by name. What
    it `owes` a higher class that waits for it is given back at once.
    """

    fits: int
    keeps: int
    total: float
    share: Share
    others: tuple[Share, ...]
    owes: bool = False
    more_others: int = 0
    first_pool: str = ""

    @property
    def pools(self) -> int:
        """How many pools share the limit."""
        return 1 + len(self.others) + self.more_others


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
    mine = needed(unit, me)
    if mine is None:
        return None
    by = Standpoint(me.priority, mine.is_full, mine.has_level)
    peers = peers if isinstance(peers, Others) else others(peers, me.pool)
    beside = peers.budget(unit, by)
    own = part(me, mine, max(me.wanted, me.floor), by)
    view = _view(mine, own, beside)

    split = unsplit(view.plan, own, beside)
    if split is None:
        split = divided(view.plan, own, part(me, mine, MOST_REPLICAS, by), beside)
    sums, step = beside.sums, mine.per_replica
    held = rounded(sums.taken)
    room = whole(free(view.grow, held) / step)
    if view.grow > 0 and not held:
        room = max(room, LAST_REPLICA)
    keeps, fits = split.entitled, min(split.entitled, max(me.held, room))
    if not any(_is_worse_off(ask, own.ask, granted) for ask, granted in split.waiting):
        unused = rounded(sums.unused)
        keeps = max(keeps, whole(free(view.keep, held - unused) / step))
        if unused:
            # Beyond what I may keep of it I give back that, and not all that was lent.
            fits = max(fits, min(me.held, keeps))
    return Entitlement(
        fits=fits,
        keeps=keeps,
        total=view.plan,
        share=_share(view.plan, own.ask, split.granted),
        others=tuple(
            sorted(
                (_share(view.plan, ask, granted) for ask, granted in split.largest),
                key=lambda one: one.pool,
            )
        ),
        owes=any(ask.priority > me.priority for ask, _ in split.waiting),
        more_others=beside.count - len(split.largest),
        first_pool=min([me.pool, *beside.budget.names[:1]]),
    )


class Split(NamedTuple):
    """How a limit is split, in whole replicas.

    `entitled` is what the pool would get if it asked for all it can, `granted` what it gets. Of the
    others, with what each gets: those that have less than that, and those that claim most.
    """

    entitled: int
    granted: int
    waiting: Sequence[tuple[Ask, int]]
    largest: Sequence[tuple[Ask, int]]


def divided(total: float, own: Part | Row, greedy: Part | Row, beside: Beside) -> Split:
    """Split `total` tokens per minute among a pool and the others."""
    given = beside.given(total, own.ask)
    entitled = granted = given.to(own.ask)
    # Who gets less than it asks for would get no more if it asked for more.
    if granted >= own.ask.wants:
        entitled = beside.given(total, greedy.ask).to(greedy.ask)
    return Split(
        entitled,
        granted,
        [one for one in given.waiting if one[0].name != own.ask.name],
        [(one.ask, given.to(one.ask)) for one in beside.largest(NAMED_OTHERS)],
    )


def unsplit(total: float, own: Part | Row, beside: Beside) -> Split | None:
    """Return the same where nothing has to be split; None if it has, or it is a near thing.

    That is where all claims together are less than the total, and the pool could have more for its
    weight than any other of its class asks for.
    """
    sums, there_is = beside.sums, exact(total)
    left = rounded(there_is - sums.first)
    if there_is <= sums.asked + exact(own.ask.claim) or left / own.ask.weight <= beside.level:
        return None
    entitled = whole(rounded(there_is - sums.granted_first) / own.ask.step)
    if not sums.replicas:
        entitled = max(entitled, LAST_REPLICA)
    return Split(
        entitled,
        own.ask.wants,
        [(one.ask, one.ask.wants) for one in beside.waiting],
        [(one.ask, one.ask.wants) for one in beside.largest(NAMED_OTHERS)],
    )


class _View(NamedTuple):
    """What is found for all pools together, in tokens per minute.

    `grow` is how far they may grow now; `plan` and `keep` are what is shared and kept.
    """

    plan: float
    grow: float
    keep: float


def _view(need: Need, own: Part, beside: Beside) -> _View:
    """Return the most careful view: what others use is theirs as far as it is no pool's.

    The claims are older than the readings. A pool that has grown since uses what it holds, and one
    that has shrunk still shows what it used. So too much is put down to a pool that is idle, but
    that one's own view is right, and the most careful one counts.

    Of one that leaves some of what it has, what is beyond the limit is not the most careful: it is
    mine to judge. Beside a bucket that stays full that is one replica more than everyone uses.
    """
    everyone = rounded(beside.sums.used + exact(own.used.own))
    views, mine, beyond = beside.views, own.used, own.used.beyond or 0.0
    if None in [one.beyond for one in views]:
        # The bucket has to last for what is taken back, too.
        beyond = min(beyond, APART * need.per_replica)
        mine = mine._replace(beyond=beyond)
    least = everyone + need.per_replica if need.has_spare else 0.0
    plans, mosts, keeps = [], [], []
    # There may be thousands: nothing is called, or worked out that changes nothing.
    for one in (mine, *views):
        plan = one.plan + (beyond if one.beyond is None else one.beyond)
        most, keep = one.most, one.keep
        outside = one.others - (everyone - one.own)
        if outside > 0.0:
            plan -= one.factor * outside
            most -= outside
            keep -= one.factor * outside
        plans.append(max(plan, least) if one.beyond is None else plan)
        mosts.append(most)
        keeps.append(keep)
    return _View(min(plans), min(*plans, *mosts), min(keeps))


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


def _share(total: float, ask: Ask, granted: int) -> Share:
    """Return a grant in tokens per minute; a last replica is granted no more than there is."""
    return Share(ask.name, ask.weight, ask.claim, min(granted * ask.step, max(total, 0.0)))
