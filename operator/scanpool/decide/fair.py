"""Weighted max-min fairness: how claims share what there is.

    grant_i = min(claim_i, max(min(floor_i, claim_i), weight_i x level))

in tokens (or requests) per minute, with the level at which the grants sum to what there is. It is
the water filling of Bertsekas and Gallager, Data Networks (2nd ed., 1992), section 6.5.2, with
weights and floors: everyone's grant rises with the level until the claim is met, and what one
leaves is the others'. A grant cannot be raised without lowering one that is smaller for its weight.

That holds within a class of one priority. Floors of all classes come first; beyond them a class has
what the higher ones leave, as if it were all that there is.

The level is found in levels.py. Whole replicas are made of the grants in turns.py, where what that
leaves is given out.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from scanpool.decide.ask import Ask
from scanpool.decide.exact import exact, rounded
from scanpool.decide.levels import Bends, Range, Rise
from scanpool.decide.ordered import swapped
from scanpool.decide.turns import Turns


class Swap(NamedTuple):
    """An ask that comes in the place of one that goes; None where there is none."""

    gone: Ask | None = None
    come: Ask | None = None


AS_THEY_ARE = Swap()


class Given:
    """The whole replicas that asks are granted."""

    def __init__(self, asks: Sequence[Ask], counts: Sequence[int]) -> None:
        self._asks, self._counts = asks, counts

    def to(self, ask: Ask) -> int:
        """Return what one of them is granted."""
        return self._counts[bisect_left(self._asks, _rank(ask), key=_rank)]

    @cached_property
    def waiting(self) -> Sequence[tuple[Ask, int]]:
        """Who holds less than it is granted, and what that is."""
        found = zip(self._asks, self._counts, strict=True)
        return [(ask, count) for ask, count in found if ask.held < count]


class Asks:
    """What pools ask of a limit, one ask of each: a value that keeps what was worked out of it.

    A pool splits the limit with its own ask of this moment in the place of the one that it has made
    known to the others: a swap, for which little is worked out anew.
    """

    def __init__(self, asks: Iterable[Ask] = ()) -> None:
        self._ordered: Sequence[Ask] = sorted(asks, key=_rank)
        self._bends: dict[int | None, Bends] = {}
        self._last: tuple[float, Given] | None = None

    def changed(self, swap: Swap) -> "Asks":
        """Return the asks after a swap; what is kept follows."""
        changed = Asks()
        changed._ordered = self._after(swap)
        changed._bends = {
            of: bends.changed(_range(swap.gone, of), _range(swap.come, of))
            for of, bends in self._bends.items()
        }
        return changed

    def given(self, total: float, swap: Swap = AS_THEY_ARE) -> Given:
        """Return the grants of `total` tokens per minute in whole replicas, after a swap.

        Everyone gets the whole replicas of its share. The rest is given out one by one, as long as
        one fits, to who claims more: the highest class first; in it, first to who would have to
        give one back otherwise, then to whom the largest part of a replica is missing. If no
        replica fits at all, the first of them gets the last replica, and nobody else any.

        Where the swap changes nothing, all pools find the same: it is worked out once.
        """
        if swap.gone != swap.come:
            return self._given(total, swap)
        if self._last is None or self._last[0] != total:
            self._last = total, self._given(total, AS_THEY_ARE)
        return self._last[1]

    def shared(self, total: float, swap: Swap = AS_THEY_ARE) -> list[tuple[list[Ask], list[float]]]:
        """Return each one's weighted max-min fair grant of `total`, after a swap.

        By class, the highest first, in tokens per minute. They sum to the smaller of the total and
        all claims. Floors that do not fit are shared the same way, as if they were the claims,
        whatever the class.
        """
        total = max(total, 0.0)
        classes = [list(some) for _, some in groupby(self._after(swap), attrgetter("priority"))]
        rises = [self._rise(asks[0].priority, swap) for asks in classes]
        left, floors = exact(total), sum(rise.least for rise in rises)
        if rounded(floors) > total:
            level = self._rise(_FLOORS, swap).level(left)
            return [
                (asks, [min(ask.floor, ask.claim, ask.weight * level) for ask in asks])
                for asks in classes
            ]
        shared = []
        for asks, rise in zip(classes, rises, strict=True):
            floors -= rise.least
            level = rise.level(left - floors)
            left -= min(left - floors, rise.most)
            shared.append((asks, _at(level, asks)))
        return shared

    def _given(self, total: float, swap: Swap) -> Given:
        classes = [Turns(asks, grants) for asks, grants in self.shared(total, swap)]
        rest = total - fsum([cost for one in classes for cost in one.costs])
        for one in classes:
            rest = one.give_out(rest)
        if total > 0 and not any(count for one in classes for count in one.given):
            for one in classes:
                if one.give_last():
                    break
        return Given(
            [ask for one in classes for ask in one.asks],
            [count for one in classes for count in one.given],
        )

    def _after(self, swap: Swap) -> Sequence[Ask]:
        """Return the asks after a swap, in order."""
        return swapped(self._ordered, swap.gone, swap.come, _rank)

    def _rise(self, of: int | None, swap: Swap) -> Rise:
        """Return how the grants of a class rise, or the floors of all, after a swap."""
        bends = self._bends.get(of)
        if bends is None:
            ranges = [_range(ask, of) for ask in self._ordered]
            bends = self._bends[of] = Bends.of([one for one in ranges if one is not None])
        return Rise(bends, _range(swap.gone, of), _range(swap.come, of))


_FLOORS = None
"""In the place of a class: the floors of all, as if they were the claims."""


def _range(ask: Ask | None, of: int | None) -> Range | None:
    """Return between what and what a grant follows the level; None for one of another class."""
    if ask is None or of not in (_FLOORS, ask.priority):
        return None
    least = min(ask.floor, ask.claim)
    return Range(ask.weight, 0.0, least) if of is _FLOORS else Range(ask.weight, least, ask.claim)


def _at(level: float, asks: Iterable[Ask]) -> list[float]:
    """Return the grants at a level; for those that follow it, which are most, nothing is called."""
    return [
        grant
        if ask.floor < (grant := ask.weight * level) < ask.claim
        else min(ask.claim, max(ask.floor, grant))
        for ask in asks
    ]


def _rank(ask: Ask) -> tuple[int, int, str]:
    """Return the key by which asks are in order: by class, and in it as ties go."""
    return -ask.priority, -ask.weight, ask.name
