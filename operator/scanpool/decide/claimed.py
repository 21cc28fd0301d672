"""The claims of the pools on one limit: a value that keeps what was worked out of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from scanpool.decide.budget import Beside, Budget
from scanpool.decide.rows import Standpoint
from scanpool.models.claims import Claim, Unit

_Budgets = dict[tuple[Unit, Standpoint], Budget]


class Claimed:
    """What each pool claims of one limit.

    Its budgets are worked out when they are first asked for; that of a changed one follows from
    them.
    """

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.by_pool: Mapping[str, Claim] = {one.pool: one for one in claims}
        self._budgets: _Budgets = {}

    def changed(self, pool: str, claim: Claim | None) -> "Claimed":
        """Return the claims with another one of a pool; None: with none of it any more."""
        by_pool = dict(self.by_pool)
        by_pool.pop(pool, None)
        if claim is not None:
            by_pool[pool] = claim
        changed = Claimed(())
        changed.by_pool = by_pool
        changed._budgets = {
            key: budget.changed(pool, claim) for key, budget in self._budgets.items()
        }
        return changed

    def budget(self, unit: Unit, by: Standpoint) -> Budget:
        """Return the budget of the limit in one unit, from one standpoint."""
        found = self._budgets.get((unit, by))
        if found is None:
            found = self._budgets[unit, by] = Budget.of(unit, by, self.by_pool.values())
        return found

    def beside(self, pool: str) -> "Others":
        """Return the claims of all pools but one."""
        return Others(self, pool)


class Others(Sequence[Claim]):
    """The claims on a limit of all pools but one, by name; equal to any sequence of the same."""

    def __init__(self, claimed: Claimed, pool: str) -> None:
        self._claimed, self._pool = claimed, pool

    def budget(self, unit: Unit, by: Standpoint) -> Beside:
        """Return what they come to."""
        return self._claimed.budget(unit, by).beside(self._pool)

    @overload
    def __getitem__(self, at: int) -> Claim: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Claim]: ...
    def __getitem__(self, at: int | slice) -> Claim | Sequence[Claim]:
        """Return one of them, or some."""
        return tuple(self)[at]

    def __iter__(self) -> Iterator[Claim]:
        by_pool = self._claimed.by_pool
        return (by_pool[name] for name in sorted(by_pool) if name != self._pool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __len__(self) -> int:
        by_pool = self._claimed.by_pool
        return len(by_pool) - (self._pool in by_pool)


def others(claims: Iterable[Claim], pool: str) -> Others:
    """Return the claims of other pools than one."""
    return Claimed(claims).beside(pool)
