"""What pools claim of one limit, added up: a value that follows from the last at each change.

A pool's tick takes its own claim out of these sums and puts the new one in, so that its cost does
not grow with the pools on the key.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import NamedTuple, Self

from scanpool.decide.ask import Ask
from scanpool.decide.fair import Asks, Given, Swap
from scanpool.decide.ordered import swapped
from scanpool.decide.rows import Row, Standpoint, Sums, Used, seen
from scanpool.models.claims import Claim, Unit


@dataclass(frozen=True, slots=True)
class Budget:
    """The claims on one limit from one standpoint.

    `rows` are by pool. `views` counts the pools that find the same, `waiting` are the rows of those
    that wait. In order: `names`, all claims with the largest first (`largest`), and those of the
    standpoint's class for their weights (`levels`). `asks` are what a limit is split among that is
    less than they ask for.
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
    asks: Asks

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
            Asks(row.ask for row in rows.values()),
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
            names=swapped(self.names, before.name, after.name),
            largest=swapped(self.largest, before.size, after.size),
            levels=swapped(self.levels, before.level, after.level),
            asks=self.asks.changed(Swap(before.ask, after.ask)),
        )

    def beside(self, pool: str) -> "Beside":
        """Return what all pools but one come to; it need not be among them."""
        return Beside(self, pool, self.rows.get(pool))


@dataclass(frozen=True)
class Beside:
    """A budget without the row of one pool, which has not to be made anew for that."""

    budget: Budget
    pool: str
    own: Row | None

    @cached_property
    def sums(self) -> Sums:
        """The sums of the others."""
        return self.budget.sums if self.own is None else self.budget.sums.less(self.own.sums)

    @property
    def views(self) -> Collection[Used]:
        """What the others find, the same things once."""
        views = dict(self.budget.views)
        if self.own is not None and views[self.own.used] == 1:
            del views[self.own.used]
        return views

    @property
    def waiting(self) -> Iterator[Row]:
        """The rows of the others that wait."""
        return (row for name, row in self.budget.waiting.items() if name != self.pool)

    @property
    def count(self) -> int:
        """How many others there are."""
        return len(self.budget.rows) - (self.own is not None)

    @property
    def level(self) -> float:
        """The largest claim for its weight of the others in the class of the standpoint."""
        levels, own = self.budget.levels[-2:], self.own
        is_there = own is not None and own.ask.priority == self.budget.by.priority
        if own is not None and is_there and levels[-1] == _level(own):
            levels = levels[:-1]
        return levels[-1] if levels else 0.0

    def given(self, total: float, ask: Ask) -> Given:
        """Return how `total` tokens per minute are split among the others and one more ask."""
        own = None if self.own is None else self.own.ask
        return self.budget.asks.given(total, Swap(own, ask))

    def largest(self, count: int) -> list[Row]:
        """Return the others that claim most."""
        rows, first = self.budget.rows, self.budget.largest[: count + 1]
        return [rows[name] for _, name in first if name != self.pool][:count]


class _Places(NamedTuple):
    """What a row is in each of the orders; None where it is in none."""

    ask: Ask | None
    name: str | None
    size: tuple[float, str] | None
    level: float | None

    @classmethod
    def of(cls, one: Row | None, by: Standpoint) -> Self:
        if one is None:
            return cls(None, None, None, None)
        level = _level(one) if one.ask.priority == by.priority else None
        return cls(one.ask, one.ask.name, _size(one), level)


def _size(one: Row) -> tuple[float, str]:
    return -one.ask.claim, one.ask.name


def _level(one: Row) -> float:
    return one.ask.claim / one.ask.weight
