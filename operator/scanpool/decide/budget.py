"""What pools claim of one limit, added up: a value that follows from the last at each change.

A pool's tick takes its own claim out of these sums and puts the new one in, so that its cost does
not grow with the pools on the key. What counts of a claim depends on who looks at it: on the class
of the pool, and on whether its bucket, which carries what a higher class lends, is full.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from typing import NamedTuple, Self, TypeVar

from scanpool.decide.exact import exact
from scanpool.decide.fair import Ask, whole
from scanpool.models.claims import Claim, Need, Unit

T = TypeVar("T", str, float, tuple[float, str])


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


class Row(NamedTuple):
    """One claim as others see it. `wants` are the whole replicas that it asks for."""

    ask: Ask
    used: Used
    taken: float
    wants: int
    sums: Sums

    @property
    def is_waiting(self) -> bool:
        """Whether it asks for more than it has."""
        return self.ask.held < self.wants


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
    """Return a claim of `wanted` replicas, some of it `unused`, in tokens per minute.

    While the bucket is full that is lent: it carries what is taken back at once, until I have given
    it back. Later it only counts for what I may keep. None: what is used of it is not known.
    """
    step, left = need.per_replica, unused or 0.0
    lent = left if by.is_full else 0.0
    taken = _there(claim, by) * step - lent
    most = max(wanted * step - lent, 0.0)
    floor = min(claim.floor * step, most)
    # Beside a level others' use is told at once: before a replica is ready, none of it is its own.
    is_told = by.has_level and claim.ready is not None
    working = min(claim.held, claim.ready or 0) if is_told else claim.held
    used = max(need.own, working * step - left)
    wants, least = whole(most / step), whole(floor / step)
    comes_first = claim.priority >= by.priority
    sums = Sums(
        exact(used),
        exact(taken),
        exact(left - lent),
        exact(most),
        exact(most if comes_first else floor),
        exact(wants * step),
        exact((wants if comes_first else least) * step),
        wants if comes_first else least,
    )
    return Row(
        Ask(claim.pool, claim.weight, floor, most, step, claim.held, claim.priority),
        Used(
            used,
            need.others,
            need.plan - need.beyond,
            need.keep,
            need.factor,
            need.most,
            None if unused is not None and claim.priority == by.priority else need.beyond,
        ),
        taken,
        wants,
        sums,
    )


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


@dataclass(frozen=True, slots=True)
class Budget:
    """The claims on one limit from one standpoint.

    `rows` are by pool. `views` counts the pools that find the same, `waiting` are the rows of those
    that wait. In order: `names`, all claims with the largest first (`largest`), and those of the
    standpoint's class for their weights (`levels`).
    """

    unit: Unit
    by: Standpoint
    rows: Mapping[str, Row]
    sums: Sums
    views: Mapping[Used, int]
    waiting: Mapping[str, Row]
    names: Sequence[str]
    largest: Sequence[tuple[float, str]]
    levels: Sequence[float]

    @classmethod
    def of(cls, unit: Unit, by: Standpoint, claims: Iterable[Claim]) -> Self:
        """Add up the claims of pools, one of each."""
        rows = {one.pool: row for one in claims if (row := seen(unit, one, by)) is not None}
        return cls(
            unit,
            by,
            rows,
            reduce(Sums.plus, (row.sums for row in rows.values()), Sums()),
            Counter(row.used for row in rows.values()),
            {pool: row for pool, row in rows.items() if row.is_waiting},
            sorted(rows),
            sorted(map(_size, rows.values())),
            sorted(_level(row) for row in rows.values() if row.ask.priority == by.priority),
        )

    def changed(self, pool: str, claim: Claim | None) -> Self:
        """Return the budget with another claim of a pool; None: with none of it any more."""
        old = self.rows.get(pool)
        new = None if claim is None else seen(self.unit, claim, self.by)
        if old == new:
            return self
        rows, waiting, views = dict(self.rows), dict(self.waiting), Counter(self.views)
        sums = self.sums
        if old is not None:
            del rows[pool]
            waiting.pop(pool, None)
            views[old.used] -= 1
            if not views[old.used]:
                del views[old.used]
            sums = sums.less(old.sums)
        if new is not None:
            rows[pool] = new
            if new.is_waiting:
                waiting[pool] = new
            views[new.used] += 1
            sums = sums.plus(new.sums)
        before, after = _Places.of(old, self.by), _Places.of(new, self.by)
        return replace(
            self,
            rows=rows,
            sums=sums,
            views=views,
            waiting=waiting,
            names=_swapped(self.names, before.name, after.name),
            largest=_swapped(self.largest, before.size, after.size),
            levels=_swapped(self.levels, before.level, after.level),
        )

    def beside(self, pool: str) -> "Beside":
        """Return what all pools but one come to; it need not be among them."""
        return Beside(self, pool, self.rows.get(pool))


@dataclass(frozen=True, slots=True)
class Beside:
    """A budget without the row of one pool, which has not to be made anew for that."""

    budget: Budget
    pool: str
    own: Row | None

    @property
    def sums(self) -> Sums:
        """The sums of the others."""
        return self.budget.sums if self.own is None else self.budget.sums.less(self.own.sums)

    @property
    def views(self) -> Iterator[Used]:
        """What the others find, the same things once."""
        own = None if self.own is None else self.own.used
        return (one for one, times in self.budget.views.items() if times > (one == own))

    @property
    def waiting(self) -> Iterator[Row]:
        """The rows of the others that wait."""
        return (row for name, row in self.budget.waiting.items() if name != self.pool)

    @property
    def rows(self) -> Iterator[Row]:
        """All rows of the others."""
        return (row for name, row in self.budget.rows.items() if name != self.pool)

    @property
    def count(self) -> int:
        """How many others there are."""
        return len(self.budget.rows) - (self.own is not None)

    @property
    def level(self) -> float:
        """The largest claim for its weight of the others in the class of the standpoint."""
        levels, own = list(self.budget.levels[-2:]), self.own
        if own is not None and own.ask.priority == self.budget.by.priority:
            levels = [*_swapped(levels, _level(own), None)] if _level(own) in levels else levels
        return max(levels, default=0.0)

    def largest(self, count: int) -> list[Row]:
        """Return the others that claim most."""
        first = (name for _, name in self.budget.largest[: count + 1] if name != self.pool)
        return [self.budget.rows[name] for name in islice(first, count)]


class _Places(NamedTuple):
    """What a row is in each of the orders; None where it is in none."""

    name: str | None
    size: tuple[float, str] | None
    level: float | None

    @classmethod
    def of(cls, one: Row | None, by: Standpoint) -> Self:
        if one is None:
            return cls(None, None, None)
        level = _level(one) if one.ask.priority == by.priority else None
        return cls(one.ask.name, _size(one), level)


def _swapped(ordered: Sequence[T], old: T | None, new: T | None) -> Sequence[T]:
    """Return values in order, `new` in the place of `old`; the same where nothing changes."""
    if old == new:
        return ordered
    changed = list(ordered)
    if old is not None:
        del changed[bisect_left(changed, old)]
    if new is not None:
        insort(changed, new)
    return changed


def _size(one: Row) -> tuple[float, str]:
    return -one.ask.claim, one.ask.name


def _level(one: Row) -> float:
    return one.ask.claim / one.ask.weight
