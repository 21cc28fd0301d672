"""What classes of pools on one key make of each other: pure functions of a run's samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scanpool.models.conditions import LimitedBy
from scanpool_replay.run import Sample, Track
from scanpool_replay.scenario import Scenario
from scanpool_replay.settled import SECONDS_PER_MINUTE, SHORTEST_RATE_SECONDS, Phase

BY_LIMIT = frozenset({LimitedBy.TOKENS, LimitedBy.REQUESTS})


@dataclass(frozen=True, slots=True)
class Left:
    """What the highest class left of the limit in one phase, and what lower ones made of it.

    In tokens over that time; what is left in the bucket at its end counts as made use of, as for
    the use of the limit as a whole.
    """

    phase: Phase
    tokens: float
    used: float

    @property
    def share(self) -> float:
        """What the lower classes got of it."""
        return self.used / self.tokens


def left(scenario: Scenario, tracks: Sequence[Track], phases: Sequence[Phase]) -> tuple[Left, ...]:
    """Return what was left in each phase in which a lower class had messages waiting."""
    highest = _highest(scenario)
    found = []
    for phase in phases:
        moments = [
            moment
            for moment in zip(*(one.samples for one in tracks), strict=True)
            if phase.start <= moment[0].seconds <= phase.end
        ]
        seconds = tokens = used = 0.0
        for before, after in pairwise(moments):
            high, low = _grown(before, after, highest)
            if not any(
                b.waiting for b, is_high in zip(before, highest, strict=True) if not is_high
            ):
                continue
            elapsed = after[0].seconds - before[0].seconds
            seconds += elapsed
            tokens += before[0].limit * elapsed / SECONDS_PER_MINUTE - high
            used += low + after[0].bucket - before[0].bucket
        if seconds >= SHORTEST_RATE_SECONDS:
            found.append(Left(phase, tokens, used))
    return tuple(found)


def longest_wait(scenario: Scenario, tracks: Sequence[Track]) -> float:
    """Return for how long a pool of the highest class was kept at a token ceiling, in seconds."""
    longest = 0.0
    for track, is_high in zip(tracks, _highest(scenario), strict=True):
        since = None
        for seconds, limit, _ in track.limits if is_high else ():
            if limit not in BY_LIMIT:
                since = None
                continue
            since = seconds if since is None else since
            longest = max(longest, seconds - since)
    return longest


def _highest(scenario: Scenario) -> list[bool]:
    priorities = [one.priority or 0 for one in scenario.tenants]
    return [one == max(priorities) for one in priorities]


def _grown(
    before: Sequence[Sample], after: Sequence[Sample], highest: Sequence[bool]
) -> tuple[int, int]:
    """Return the tokens between two moments of the highest class, and of the others."""
    grown = [a.own_tokens - b.own_tokens for b, a in zip(before, after, strict=True)]
    high = sum(one for one, is_high in zip(grown, highest, strict=True) if is_high)
    return high, sum(grown) - high
