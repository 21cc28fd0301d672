"""What hindsight would have chosen, and what the limit itself would have allowed.

The oracle is the best fixed number of replicas that keeps refused calls rare. Two other answers
show where the rest went: quarter-sized pods, what a finer knob would add; and one replica more
until a moment found in hindsight, what spending the bucket's burst would add.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanpool_replay.contenders import Fixed
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario

# Refused calls that still count as none, as a share of all.
RARE = 0.001
# A pod is divided into so many, with a part of its CPU, memory and concurrency each.
PARTS = 4
SWITCH_STEP_SECONDS = 15
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The oracle and its relatives for one scenario and seed."""

    sweep: tuple[Result, ...]
    best: Result
    finer: Result
    two_steps: Result
    bucket_scans: float
    scan_tokens: int


def look_back(scenario: Scenario, seed: int, ran: Callable[[Result], None]) -> Hindsight:
    """Try every fixed number of replicas, and the oracle's relatives; `ran` hears of each run.

    Raises:
        ValueError: if the scenario names no `oracleMaxReplicas`.

    """
    most = scenario.oracle_max_replicas
    if most is None:
        raise ValueError(f"{scenario.name} names no oracleMaxReplicas")

    def attempt(world: Scenario, fixed: Fixed) -> Result:
        result = run(world, fixed, seed)
        ran(result)
        return result

    sweep = tuple(
        attempt(scenario, Fixed(kind="fixed", replicas=replicas)) for replicas in range(most + 1)
    )
    best = best_of(sweep)
    parts = _with_parts(scenario)
    # Beside the oracle, and not more than two pods away from it.
    nearby = range(best.max_replicas * PARTS, (best.max_replicas + 2) * PARTS)
    finer = best_of([attempt(parts, Fixed(kind="fixed", replicas=count)) for count in nearby])
    schedules = list(_schedules(scenario, best.max_replicas))
    return Hindsight(
        sweep=sweep,
        best=best,
        finer=finer,
        two_steps=best_of([best, *(attempt(scenario, one) for one in schedules)]),
        bucket_scans=bucket_scans(scenario),
        scan_tokens=sum(stage.tokens for stage in scenario.stages),
    )


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


def _schedules(scenario: Scenario, replicas: int) -> Iterator[Fixed]:
    step = SWITCH_STEP_SECONDS
    for seconds in range(step, int(scenario.load.stop_seconds), step):
        then = ((float(seconds), replicas),)
        yield Fixed(kind="fixed", replicas=replicas + 1, then=then)


def _with_parts(scenario: Scenario) -> Scenario:
    """Return the scenario with pods of a part of the size, and as many more of the outside ones."""
    worker = scenario.worker
    parts = worker.model_copy(
        update={
            "concurrency": worker.concurrency // PARTS,
            "cpu_request_millicores": worker.cpu_request_millicores // PARTS,
            "cpu_limit_millicores": worker.cpu_limit_millicores // PARTS,
            "memory_request_mebibytes": worker.memory_request_mebibytes // PARTS,
            "memory_base_mebibytes": worker.memory_base_mebibytes / PARTS,
            "memory_limit_mebibytes": worker.memory_limit_mebibytes // PARTS,
            # A full part is slowed down as a full pod is: what differs is the size alone.
            "cpu_growth_per_task_in_hand": worker.cpu_growth_per_task_in_hand * PARTS,
            "outside_pods": worker.outside_pods * PARTS,
        }
    )
    return scenario.model_copy(update={"worker": parts})
