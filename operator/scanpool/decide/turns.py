"""Whole replicas of shares, and the turns in which the rest is given out (see fair.py)."""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from math import floor, fsum, inf

from scanpool.decide.ask import ROUNDING_DIGITS, ROUNDING_REPLICAS, Ask, whole
from scanpool.models.fields import MOST_REPLICAS

# Where a single replica costs more than there is, the choice is it or nothing: pools that may go to
# zero would then never work off a message.
LAST_REPLICA = 1


class Turns:
    """What the pools of a class are given: at first the whole replicas of their shares.

    A pool is its place among the asks, which are in the order in which ties go. `costs` are what is
    given at first, in tokens per minute.
    """

    def __init__(self, asks: Sequence[Ask], grants: Iterable[float]) -> None:
        self.asks = asks
        self._parts = [grant / ask.step for grant, ask in zip(grants, asks, strict=True)]
        # As `whole`, without a call for each: a key may have thousands of asks.
        self.given = [
            floor(part + ROUNDING_REPLICAS) if part < MOST_REPLICAS else MOST_REPLICAS
            for part in self._parts
        ]
        self.costs = [count * ask.step for count, ask in zip(self.given, asks, strict=True)]

    def give_out(self, rest: float) -> float:
        """Give the rest to who claims more, as long as a replica fits; return what is left."""
        asks, given = self.asks, self.given
        keep, more = self._waiting()
        # First up to what each has: who would have to give one back is before all others.
        rest = self._serve(rest, keep, [], lambda ask: min(ask.held, ask.wants))
        kept = [place for place in keep if asks[place].held <= given[place] < asks[place].wants]
        return self._serve(rest, more, kept, lambda ask: ask.wants)

    def give_last(self) -> bool:
        """Give the last replica to who is first of those that claim more, if anyone does."""
        places = next(filter(None, self._waiting()), None)
        if places is None:
            return False
        self.given[min(places, key=self._missing)] = LAST_REPLICA
        return True

    def _waiting(self) -> tuple[list[int], list[int]]:
        """Return who claims more: those that would have to give one back otherwise, and others."""
        found = zip(self.asks, self.given, strict=True)
        waiting = [place for place, (ask, count) in enumerate(found) if count < ask.wants]
        keep = [place for place in waiting if self.given[place] < self.asks[place].held]
        return keep, [place for place in waiting if self.given[place] >= self.asks[place].held]

    def _serve(
        self, rest: float, first: list[int], later: list[int], goal: Callable[[Ask], int]
    ) -> float:
        """Give one in each turn to who has less than its goal; return what is left of the rest.

        The `first` miss a part of a replica and come before those `later`, who miss more.
        """
        asks, given = self.asks, self.given
        steps = [asks[place].step for place in (*first, *later)]
        least = min(steps, default=inf)
        if not whole(rest / least):
            return rest
        if fsum(steps) > rest:
            # Where there is one for each, their order is no matter.
            first.sort(key=self._missing)
        for place in first:
            step = asks[place].step
            if rest / step + ROUNDING_REPLICAS >= 1:
                given[place] += 1
                rest -= step
                if given[place] < goal(asks[place]):
                    later.append(place)
            elif not whole(rest / least):
                break
        return self._go_on(rest, later, goal) if whole(rest / least) else rest

    def _go_on(self, rest: float, places: Iterable[int], goal: Callable[[Ask], int]) -> float:
        """Do the same for those that have had a turn, or two; there is seldom anything left."""
        turns = [(self._missing(place), place) for place in places]
        heapify(turns)
        while turns:
            _, place = heappop(turns)
            step = self.asks[place].step
            # The rest only shrinks: who is passed over has had its last turn.
            if whole(rest / step):
                self.given[place] += 1
                rest -= step
                if self.given[place] < goal(self.asks[place]):
                    heappush(turns, (self._missing(place), place))
        return rest

    def _missing(self, place: int) -> float:
        """Return what is missing of a replica, rounded: equal shares are a tie, however summed."""
        return round(self.given[place] - self._parts[place], ROUNDING_DIGITS)
