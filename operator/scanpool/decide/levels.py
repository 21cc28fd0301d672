"""The level of a fair share, found without a look at every claim.

Grants that follow a level (fair.py) add up to a line that bends where one starts or stops to follow
it. The bends are kept in order, and with each the line that it begins, so that the level at which
the grants come to a total is a bisection. The lines are exact (exact.py): a level is the nearest
float, whatever claims have come and gone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf
from typing import NamedTuple

from scanpool.decide.exact import ONE, exact
from scanpool.decide.ordered import swapped


class Line(NamedTuple):
    """What is granted at a level: an amount in units of `exact`, and `slope` times the level."""

    amount: int
    slope: int

    def at(self, level: float) -> int:
        """Return what is granted at a level, in units of `exact`."""
        return self.amount + self.slope * exact(level) if self.slope else self.amount


class Bend(NamedTuple):
    """What is added above a level to the line below it."""

    level: float
    amount: int
    slope: int


class Range(NamedTuple):
    """Between what and what a grant follows its weight times the level, in tokens per minute.

    The weight is above 0, and `least` is not more than `most`.
    """

    weight: int
    least: float
    most: float

    @property
    def bends(self) -> tuple[Bend, Bend]:
        """Where it starts to follow the level, and where it stops."""
        return (
            Bend(self.least / self.weight, -exact(self.least), self.weight),
            Bend(self.most / self.weight, exact(self.most), -self.weight),
        )

    def line(self, level: float) -> Line:
        """Return the line that it is on just above a level."""
        if level >= self.most / self.weight:
            return Line(exact(self.most), 0)
        if level >= self.least / self.weight:
            return Line(0, self.weight)
        return Line(exact(self.least), 0)


class Bends:
    """The bends of ranges: a value that keeps what was worked out of it."""

    def __init__(self, ordered: Sequence[Bend], least: int) -> None:
        self._ordered, self._least = ordered, least

    @classmethod
    def of(cls, ranges: Sequence[Range]) -> "Bends":
        """Put the bends of ranges in order."""
        ordered = sorted(bend for one in ranges for bend in one.bends)
        return cls(ordered, sum(exact(one.least) for one in ranges))

    def changed(self, gone: Range | None, come: Range | None) -> "Bends":
        """Return the bends with another range in the place of one; None: there is none."""
        if gone == come:
            return self
        ordered, least = self._ordered, self._least
        for old, new in zip(_bends(gone), _bends(come), strict=True):
            ordered = swapped(ordered, old, new)
        if gone is not None:
            least -= exact(gone.least)
        if come is not None:
            least += exact(come.least)
        return Bends(ordered, least)

    @property
    def levels(self) -> Sequence[float]:
        """The levels of the bends, in order."""
        return self._lines[0]

    def line(self, level: float) -> Line:
        """Return the line just above a level."""
        levels, amounts, slopes = self._lines
        passed = bisect_right(levels, level)
        return Line(amounts[passed], slopes[passed])

    @cached_property
    def _lines(self) -> tuple[Sequence[float], Sequence[int], Sequence[int]]:
        """The levels, and the amounts and slopes of the lines below the first and above each."""
        levels, amounts, slopes = zip(*self._ordered, strict=True) if self._ordered else ((),) * 3
        return (
            levels,
            list(accumulate(amounts, initial=self._least)),
            list(accumulate(slopes, initial=0)),
        )


def _bends(of: Range | None) -> tuple[Bend, Bend] | tuple[None, None]:
    return (None, None) if of is None else of.bends


@dataclass(frozen=True, slots=True)
class Rise:
    """How grants rise with the level: by their bends, with another range in the place of one.

    What the bends come to is not worked out anew for that.
    """

    bends: Bends
    gone: Range | None = None
    come: Range | None = None

    @property
    def least(self) -> int:
        """What is granted whatever the level, in units of `exact`."""
        return self._line(-inf).amount

    @property
    def most(self) -> int:
        """What is granted at any level at most, in units of `exact`."""
        return self._line(inf).amount

    def level(self, total: int) -> float:
        """Return the level at which the grants sum to `total`, infinite if they never exceed it."""
        if total >= self.most:
            return inf
        levels = self.bends.levels
        above = bisect_left(levels, total, key=self._granted)
        low = levels[above - 1] if above else -inf
        high = levels[above] if above < len(levels) else inf
        for bend in () if self.come is None else self.come.bends:
            if low < bend.level < high and self._granted(bend.level) < total:
                low = bend.level
            elif low < bend.level < high:
                high = bend.level
        amount, slope = self._line(low)
        # Where the line is flat, only what a bend was rounded by lies between.
        return (total - amount) / (slope * ONE) if slope else high

    def _granted(self, level: float) -> int:
        return self._line(level).at(level)

    def _line(self, level: float) -> Line:
        amount, slope = self.bends.line(level)
        if self.gone is not None:
            gone = self.gone.line(level)
            amount, slope = amount - gone.amount, slope - gone.slope
        if self.come is not None:
            come = self.come.line(level)
            amount, slope = amount + come.amount, slope + come.slope
        return Line(amount, slope)
