"""What one pool's claim on a limit is to another that looks at it.

What counts of a claim depends on who looks at it: on the class of the pool, and on whether its
bucket, which carries what others lend, is full.
"""

from dataclasses import replace
from typing import NamedTuple

from scanpool.decide.ask import Ask, whole
from scanpool.decide.exact import exact
from scanpool.models.claims import Claim, Need, Unit


class Standpoint(NamedTuple):
    """From where a pool looks at the others' claims: its class, and its bucket.

    The bucket's level decides (`has_level`), and it is full (`is_full`).
    """

    priority: int
    is_full: bool
    has_level: bool


class Used(NamedTuple):
    """What a pool finds of the limit, and what it uses of it itself, per minute (see `Need`).

    `beyond` is None for an equal of which is known what it leaves: it uses what is measured, so
    that what it takes its cost for limits nobody.
    """

    own: float
    others: float
    plan: float
    keep: float
    factor: float
    most: float
    beyond: float | None


class Sums(NamedTuple):
    """Of all claims, in units of `exact`, but for `replicas`.

    `used` is what the pools use, `taken` what they hold or are about to give back, of which they
    leave what is `unused`, `asked` all that they claim, `first` what goes before a pool that would
    take all it can get: the whole claims of its class and of higher ones, and the floors of lower.
    `granted` is what the claims come to in whole replicas, `granted_first` those that go before,
    and `replicas` their number.
    """

    used: int = 0
    taken: int = 0
    unused: int = 0
    asked: int = 0
    first: int = 0
    granted: int = 0
    granted_first: int = 0
    replicas: int = 0

    def plus(self, other: "Sums") -> "Sums":
        """Return the sums with those of another claim."""
        return Sums(*map(int.__add__, self, other))

    def less(self, other: "Sums") -> "Sums":
        """Return the sums without those of a claim."""
        return Sums(*map(int.__sub__, self, other))


class Part(NamedTuple):
    """One claim by itself: what it asks for, and what the pool finds and uses."""

    ask: Ask
    used: Used


class Row(NamedTuple):
    """One claim as others see it: its part, and what is summed up of it."""

    ask: Ask
    used: Used
    taken: float
    sums: Sums

    @property
    def is_waiting(self) -> bool:
        """Whether it asks for more than it has."""
        return self.ask.held < self.ask.wants


def needed(unit: Unit, claim: Claim) -> Need | None:
    """Return the need of a pool whose replicas cost any of this limit."""
    need = claim.needs.get(unit)
    return need if need is not None and need.per_replica > 0 else None


def seen(unit: Unit, claim: Claim, by: Standpoint) -> Row | None:
    """Return a claim as another pool sees it; None if it has no need of the limit.

    What an idle one holds is not used, and it asks for nothing.
    """
    need = needed(unit, claim)
    if need is None:
        return None
    if claim.is_idle:
        claim = replace(claim, floor=0, wanted=0, held=0, wanted_lately=0)
    return row(claim, need, _asked(claim, by), by, _unused(claim, need, by))


def row(claim: Claim, need: Need, wanted: int, by: Standpoint, unused: float | None = None) -> Row:
    """Return a claim of `wanted` replicas, some of it `unused`, with what it adds to the sums."""
    ask, used = part(claim, need, wanted, by, unused)
    step, wants, least = ask.step, ask.wants, whole(ask.floor / ask.step)
    left, lent = unused or 0.0, _lent(unused, by)
    taken = _there(claim, by) * step - lent
    comes_first = claim.priority >= by.priority
    sums = Sums(
        exact(used.own),
        exact(taken),
        exact(left - lent),
        exact(ask.claim),
        exact(ask.claim if comes_first else ask.floor),
        exact(wants * step),
        exact((wants if comes_first else least) * step),
        wants if comes_first else least,
    )
    return Row(ask, used, taken, sums)


def part(
    claim: Claim, need: Need, wanted: int, by: Standpoint, unused: float | None = None
) -> Part:
    """Return a claim of `wanted` replicas, some of it `unused`, in tokens per minute.

    None: what is used of it is not known.
    """
    step = need.per_replica
    most = max(wanted * step - _lent(unused, by), 0.0)
    floor = min(claim.floor * step, most)
    # Beside a level others' use is told at once: before a replica is ready, none of it is its own.
    is_told = by.has_level and claim.ready is not None
    working = min(claim.held, claim.ready or 0) if is_told else claim.held
    return Part(
        Ask(claim.pool, claim.weight, floor, most, step, claim.held, claim.priority),
        Used(
            max(need.own, working * step - (unused or 0.0)),
            need.others,
            need.plan - need.beyond,
            need.keep,
            need.factor,
            need.most,
            None if unused is not None and claim.priority == by.priority else need.beyond,
        ),
    )


def _lent(unused: float | None, by: Standpoint) -> float:
    """Return what of a claim is lent to the others, in tokens per minute.

    While the bucket is full that is what is unused: it carries what is taken back at once, until I
    have given it back. Later it only counts for what I may keep.
    """
    return (unused or 0.0) if by.is_full else 0.0


def _unused(peer: Claim, need: Need, by: Standpoint) -> float | None:
    """Return what a peer of my class or a higher one leaves of what it has, in tokens per minute.

    None where that is not known: for a higher class that waits for more, and for an equal that is
    busy, since what busy replicas seem to leave is noise.
    """
    if not by.has_level or peer.priority < by.priority or peer.is_idle:
        return None
    if peer.priority == by.priority:
        return None if peer.is_busy else need.spare
    return need.spare if max(peer.wanted, peer.wanted_lately) <= peer.held else None


def _asked(peer: Claim, by: Standpoint) -> int:
    """Return the replicas that I have to reckon with a peer wanting.

    What one of a higher class wanted a moment ago is kept for it: a want that comes and goes with
    every message would else move mine to and fro, and never find it free.
    """
    lately = peer.wanted_lately if peer.priority > by.priority else 0
    return max(peer.wanted, peer.floor, lately)


def _there(peer: Claim, by: Standpoint) -> int:
    """Return the replicas of a peer that are in my way.

    Those of a lower class until they have drained: they go on with what they have in hand. Between
    equals both sides come and go, and the bucket carries what overlaps.
    """
    return peer.held + (peer.draining if peer.priority < by.priority else 0)
