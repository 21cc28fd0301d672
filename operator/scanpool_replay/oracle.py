"""What hindsight would have chosen, and what the limit itself would have allowed.

There are two oracles, and both keep refused calls rare: the best fixed number of replicas, and the
best that changes them once a minute.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import ceil

from scanpool_replay.contenders import Fixed
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario

# Refused calls that still count as none, as a share of all.
RARE = 0.001
SECONDS_PER_MINUTE = 60


# Replicas of each minute of the load, from its start on.
Schedule = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The oracles for one scenario and seed: `best` never changes, `by_minute` once a minute."""

    sweep: tuple[Result, ...]
    best: Result
    by_minute: Result
    bucket_scans: float
    scan_tokens: int


def look_back(scenario: Scenario, seed: int, ran: Callable[[Result], None]) -> Hindsight:
    """Try every fixed number of replicas, and schedules around the best; `ran` hears of each run.

    Raises:
        ValueError: if the scenario names no `oracleMaxReplicas`.

    """
    most = scenario.oracle_max_replicas
    if most is None:
        raise ValueError(f"{scenario.name} names no oracleMaxReplicas")

    def attempt(schedule: Schedule) -> Result:
        result = run(scenario, fixed(schedule), seed)
        ran(result)
        return result

    sweep = tuple(attempt((replicas,)) for replicas in range(most + 1))
    best = best_of(sweep)
    minutes = ceil(scenario.load.stop_seconds / SECONDS_PER_MINUTE)
    return Hindsight(
        sweep=sweep,
        best=best,
        by_minute=climbed((best.max_replicas,) * minutes, best, most, attempt),
        bucket_scans=bucket_scans(scenario),
        scan_tokens=sum(stage.tokens for stage in scenario.stages),
    )


def climbed(
    start: Schedule, result: Result, most: int, attempt: Callable[[Schedule], Result]
) -> Result:
    """Return the best run that single steps from a schedule lead to; `start` gave `result`.

    A step is one replica more, or less, over some minutes in a row. The best of all steps is
    taken, as long as there is one that is better: always the same, and a few dozen runs.
    """
    found = {start: result}
    best = start
    while True:
        for schedule in _steps(best, most):
            if schedule not in found:
                found[schedule] = attempt(schedule)
        reached = best_of([found[best], *(found[one] for one in _steps(best, most))])
        if reached is found[best]:
            return reached
        best = next(one for one in _steps(best, most) if found[one] is reached)


def fixed(schedule: Schedule) -> Fixed:
    """Return the replicas of each minute as they are set: only where they change."""
    then = tuple(
        (float(minute * SECONDS_PER_MINUTE), replicas)
        for minute, replicas in enumerate(schedule)
        if minute and replicas != schedule[minute - 1]
    )
    return Fixed(kind="fixed", replicas=schedule[0], then=then)


def _steps(schedule: Schedule, most: int) -> Iterator[Schedule]:
    """Yield the schedules that are one step away."""
    for first, end in combinations(range(len(schedule) + 1), 2):
        for step in (1, -1):
            changed = tuple(
                replicas + step if first <= minute < end else replicas
                for minute, replicas in enumerate(schedule)
            )
            if all(0 <= replicas <= most for replicas in changed):
                yield changed


def best_of(results: list[Result] | tuple[Result, ...]) -> Result:
    """Return the run that the load test saw most completions of, among those rarely refused."""
    calm = [one for one in results if one.final.refused_share <= RARE]
    return max(calm or results, key=lambda one: one.seen_completed)


def bucket_scans(scenario: Scenario) -> float:
    """Return how many scans the token bucket would admit: its burst and its refill.

    The bucket refills from the first call on; what flows while it is full is lost, so this is an
    upper bound.
    """
    limit = scenario.provider.tokens_per_minute
    minutes = scenario.end_seconds / SECONDS_PER_MINUTE
    return limit * (1 + minutes) / sum(stage.tokens for stage in scenario.stages)
