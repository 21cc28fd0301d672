"""What a run gave while nothing around it changed: pure functions of its samples.

A change of the load, and every event, gives the autoscalers some seconds to settle. Between these
are the phases in which they are judged. The start of a new process is no such event, and neither
are counters that jump: the world is the same as before.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from scanpool_replay.events import (
    JumpCounters,
    LoseReading,
    Neighbor,
    NeighborBursts,
    RestartController,
)
from scanpool_replay.run import Sample, Track
from scanpool_replay.scenario import Scenario
from scanpool_replay.settings import ClosedLoad

SECONDS_PER_MINUTE = 60
# Scalings are counted within any window of these lengths.
SCALINGS_SECONDS = 300.0
LONG_SCALINGS_SECONDS = 600.0
# A rate over less than this says little: calls take seconds, and come in lumps.
SHORTEST_RATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Seconds from the load's start, first and last, between which nothing changed."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Use:
    """Use of the key's limit in one phase, while messages waited and the provider was paid.

    All in tokens per minute, means over that time: what everyone used, and of it those who are no
    pool; by how much the bucket's level rose, which is below zero where it fell; the limit; and
    what one replica did use, which is infinite where none was ready.
    """

    phase: Phase
    used: float
    others: float
    stored: float
    limit: float
    per_replica: float

    @property
    def share(self) -> float:
        """What was made use of, as a share of what flowed into the bucket.

        The bucket carries what the replicas cannot, in a cycle of six minutes and more. A phase
        that is short against it would be judged by where in the cycle it lies: so what is left in
        the bucket at its end counts as made use of, and what was spent of an earlier phase's does
        not. What is missing flowed into a full bucket, and is lost.
        """
        return (self.used + self.stored) / self.limit

    @property
    def feeds(self) -> float:
        """How many replicas the limit feeds, beside those who are no pool."""
        return (self.limit - self.others) / self.per_replica


@dataclass(frozen=True, slots=True)
class Figures:
    """One pipeline's figures over all phases.

    `most_scalings` and `long_scalings` are the most within any five and any ten minutes.
    `cost_error` is the largest of the phases: how far what scanpool took one replica to use was
    off what it did use, as a share of that. None: it was not measured.
    """

    pipeline: str
    calls: int
    rate_refusals: int
    most_scalings: int
    long_scalings: int
    cost_error: float | None

    @property
    def refused_share(self) -> float:
        """Rate-limit 429s as a share of the workers' calls."""
        return self.rate_refusals / self.calls if self.calls else 0.0


def phases(scenario: Scenario, settle_seconds: float) -> tuple[Phase, ...]:
    """Return the phases of a scenario in which it has settled."""
    found, settled_at = [], -inf
    for time in sorted(_changes(scenario)):
        if time > settled_at:
            found.append(Phase(settled_at, time))
        settled_at = max(settled_at, time + settle_seconds)
    found.append(Phase(settled_at, scenario.end_seconds))
    return tuple(one for one in found if one.start >= 0 and one.end > one.start)


def figures(track: Track, calm: Sequence[Phase], steady: Sequence[Phase]) -> Figures:
    """Return the figures of one pipeline: its calls in the calm phases, the rest in the steady."""
    pairs = [(found[0], found[-1]) for phase in calm if (found := _within(track.samples, phase))]
    runs = [found for phase in steady if (found := _within(track.samples, phase))]
    return Figures(
        pipeline=track.pipeline,
        calls=sum(last.calls - first.calls for first, last in pairs),
        rate_refusals=sum(last.rate_refusals - first.rate_refusals for first, last in pairs),
        most_scalings=max((_scalings(found, SCALINGS_SECONDS) for found in runs), default=0),
        long_scalings=max((_scalings(found, LONG_SCALINGS_SECONDS) for found in runs), default=0),
        cost_error=max((error for found in runs for error in _cost_error(found)), default=None),
    )


def uses(tracks: Sequence[Track], phases: Sequence[Phase]) -> tuple[Use, ...]:
    """Return the use of the limit in each phase that has a minute or more to measure it by."""
    found = []
    for phase in phases:
        moments = zip(*(_within(track.samples, phase) for track in tracks), strict=True)
        seconds = used = stored = limit = own = ready = 0.0
        for before, after in pairwise(moments):
            if not before[0].has_quota or not any(one.waiting for one in before):
                continue
            if before[0].limit != after[0].limit:
                continue  # the level jumps with the limit: nothing flowed
            elapsed = after[0].seconds - before[0].seconds
            seconds += elapsed
            used += after[0].tokens - before[0].tokens
            stored += after[0].bucket - before[0].bucket
            limit += before[0].limit * elapsed
            own += sum(one.own_tokens for one in after) - sum(one.own_tokens for one in before)
            ready += sum(one.ready for one in before) * elapsed
        if seconds >= SHORTEST_RATE_SECONDS:
            a_minute = SECONDS_PER_MINUTE / seconds
            found.append(
                Use(
                    phase,
                    used=used * a_minute,
                    others=(used - own) * a_minute,
                    stored=stored * a_minute,
                    limit=limit / seconds,
                    per_replica=own / ready * SECONDS_PER_MINUTE if ready else inf,
                )
            )
    return tuple(found)


def _changes(scenario: Scenario) -> Iterator[float]:
    """Yield when the load or anything else around the autoscalers changes."""
    for load in scenario.loads:
        yield load.start_seconds
        yield load.stop_seconds
        if isinstance(load, ClosedLoad):
            yield load.start_seconds + load.ramp_up_seconds
            yield load.stop_seconds - load.ramp_down_seconds
    for event in scenario.events:
        if isinstance(event, RestartController | JumpCounters):
            continue
        yield event.at_seconds
        if isinstance(event, Neighbor | NeighborBursts | LoseReading):
            yield event.at_seconds + event.seconds


def _within(samples: Sequence[Sample], phase: Phase) -> list[Sample]:
    return [one for one in samples if phase.start <= one.seconds <= phase.end]


def _scalings(samples: Sequence[Sample], seconds: float) -> int:
    """Return the most changes of replicas within any window of so many seconds."""
    times = [
        after.seconds for before, after in pairwise(samples) if after.desired != before.desired
    ]
    return max((_count_until(times, start + seconds, start) for start in times), default=0)


def _count_until(times: Iterable[float], end: float, start: float) -> int:
    return sum(start <= time < end for time in times)


def _cost_error(samples: Sequence[Sample]) -> list[float]:
    """Return how far the cost that was believed is off, where both can be told."""
    busy = [one for one in samples if one.waiting and one.ready and one.cost is not None]
    if len(busy) < len(samples) or samples[-1].seconds - samples[0].seconds < SHORTEST_RATE_SECONDS:
        return []
    ready = sum(
        before.ready * (after.seconds - before.seconds) for before, after in pairwise(samples)
    )
    used = (samples[-1].own_tokens - samples[0].own_tokens) * SECONDS_PER_MINUTE / ready
    believed = sum(one.cost or 0.0 for one in samples) / len(samples)
    return [abs(believed / used - 1)] if used else []
