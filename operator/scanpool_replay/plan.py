"""What a pool of the user's own would do under a load, and what it would take to drain in time."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from statistics import mean

from scanpool.models.conditions import LimitedBy
from scanpool.models.spec import PoolSpec
from scanpool_replay.contenders import Scanpool
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario
from scanpool_replay.settings import SCAN, ClosedLoad, Nodes, OpenLoad, Provider, Stage, Worker

SECONDS_PER_MINUTE = 60
# A call of a queue that the calibrated pipeline does not know.
LATENCY_SECONDS = 5.0
# Limits are searched up to so many times the given one, to so fine a step.
MOST_TIMES = 16
TOKEN_STEP = 50_000
MEMORY_STEP_MEBIBYTES = 64
MOST_REPLICAS = 50
# Limits of the pool's own; what merely delays a change is none.
LIMITS = (
    LimitedBy.MAX_REPLICAS,
    LimitedBy.TOKENS,
    LimitedBy.REQUESTS,
    LimitedBy.MEMORY,
    LimitedBy.WORKERS,
    LimitedBy.QUOTA,
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the pool would do. Times in seconds, the drain from the last submission on."""

    replicas_mean: float
    replicas_most: int
    tokens_per_minute_mean: float
    tokens_per_minute_peak: float
    drain_seconds: float | None
    first_limit: LimitedBy | None
    first_limit_reason: str
    first_limit_at: float | None
    result: Result


@dataclass(frozen=True, slots=True)
class Needed:
    """The least of each limit, the others as they are, that meets the drain time; None: none."""

    tokens_per_minute: int | None
    max_replicas: int | None
    memory_limit_mebibytes: int | None


def scenario_of(
    pool: PoolSpec,
    load: ClosedLoad | OpenLoad,
    *,
    tokens_per_minute: int,
    nodes: Nodes,
    worker: Worker,
    cpu_seconds: float | None,
) -> Scenario:
    """Return the world in which a pool is planned.

    `cpu_seconds` are those of one item through all queues. Without them they follow from the
    pool's `tokensPerReplicaMinute`, as one busy core's; without that they are the scan pipeline's.
    """
    return Scenario(
        name="plan",
        load=load,
        stages=_stages(pool, cpu_seconds),
        provider=Provider(tokens_per_minute=tokens_per_minute),
        nodes=nodes,
        worker=worker,
        controllers=(Scanpool(kind="scanpool", pool=pool),),
    )


def expect(scenario: Scenario, seed: int) -> Expected:
    """Simulate the plan once."""
    result = run(scenario, scenario.controllers[0], seed)
    stop = scenario.load.stop_seconds
    during = [one for one in result.tracks[0].samples if one.seconds <= stop]
    window = SECONDS_PER_MINUTE
    tokens = [float(one.tokens) for one in during]
    peaks = [after - before for before, after in zip(tokens, tokens[window:], strict=False)] or [
        tokens[-1] * window / stop
    ]
    limits = [one for one in result.tracks[0].limits if one[1] in LIMITS]
    first = limits[0] if limits else None
    return Expected(
        replicas_mean=mean(one.ready for one in during),
        replicas_most=max(one.ready for one in during),
        tokens_per_minute_mean=tokens[-1] / stop * SECONDS_PER_MINUTE,
        tokens_per_minute_peak=max(peaks),
        drain_seconds=None if result.drained_at is None else max(result.drained_at - stop, 0.0),
        first_limit=None if first is None else first[1],
        first_limit_reason="" if first is None else first[2],
        first_limit_at=None if first is None else first[0],
        result=result,
    )


def need(
    scenario: Scenario, seed: int, drain_seconds: float, tried: Callable[[str], None]
) -> Needed:
    """Search the least limits that drain in time; `tried` hears of each attempt."""

    def drains(changed: Scenario, what: str) -> bool:
        tried(what)
        found = expect(changed, seed)
        return found.drain_seconds is not None and found.drain_seconds <= drain_seconds

    limit, memory = scenario.provider.tokens_per_minute, scenario.worker.memory_limit_mebibytes
    tokens = _least(
        lambda steps: drains(_with_limit(scenario, steps * TOKEN_STEP), "token limits"),
        ceil(limit * MOST_TIMES / TOKEN_STEP),
    )
    replicas = _least(
        lambda count: drains(_with_most(scenario, count), "maxReplicas"), MOST_REPLICAS
    )
    steps = _least(
        lambda count: drains(
            _with_memory(scenario, count * MEMORY_STEP_MEBIBYTES), "memory limits"
        ),
        ceil(memory * MOST_TIMES / MEMORY_STEP_MEBIBYTES),
    )
    return Needed(
        tokens_per_minute=None if tokens is None else tokens * TOKEN_STEP,
        max_replicas=replicas,
        memory_limit_mebibytes=None if steps is None else steps * MEMORY_STEP_MEBIBYTES,
    )


def _least(is_enough: Callable[[int], bool], most: int) -> int | None:
    """Return the least number from 1 to `most` that is enough, by bisection; None if none is.

    It takes for granted that more of a limit never drains later.
    """
    if not is_enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _stages(pool: PoolSpec, cpu_seconds: float | None) -> tuple[Stage, ...]:
    queues = {queue.name: queue for queue in pool.rabbitmq.queues}
    if set(queues) <= {stage.queue for stage in SCAN}:
        stages = tuple(
            stage.model_copy(update={"tokens": queues[stage.queue].tokens_per_message})
            if stage.queue in queues
            else stage
            for stage in SCAN
        )
    else:
        stages = tuple(
            Stage(
                queue=queue.name,
                tokens=queue.tokens_per_message,
                cpu_seconds=sum(one.cpu_seconds for one in SCAN) / len(queues),
                latency_seconds=LATENCY_SECONDS if queue.tokens_per_message else 0.0,
            )
            for queue in queues.values()
        )
    hint = None if pool.llm is None else pool.llm.tokens_per_replica_minute
    if cpu_seconds is None and hint is not None:
        cpu_seconds = SECONDS_PER_MINUTE * sum(one.tokens for one in stages) / hint
    if not cpu_seconds:
        return stages
    scale = cpu_seconds / sum(one.cpu_seconds for one in stages)
    return tuple(one.model_copy(update={"cpu_seconds": one.cpu_seconds * scale}) for one in stages)


def _with_pool(scenario: Scenario, pool: PoolSpec) -> Scenario:
    controllers = (Scanpool(kind="scanpool", pool=pool),)
    return scenario.model_copy(update={"controllers": controllers})


def _pool(scenario: Scenario) -> PoolSpec:
    controller = scenario.controllers[0]
    if not isinstance(controller, Scanpool):
        raise TypeError("a plan is made for a pool")
    return controller.pool


def _with_limit(scenario: Scenario, tokens_per_minute: int) -> Scenario:
    """Raise or lower the provider's limit, and with it the pool's own where it names one."""
    provider = scenario.provider.model_copy(update={"tokens_per_minute": tokens_per_minute})
    changed = scenario.model_copy(update={"provider": provider})
    pool = _pool(scenario)
    if pool.llm is None or pool.llm.tokens_per_minute is None:
        return changed
    llm = pool.llm.model_copy(update={"tokens_per_minute": tokens_per_minute})
    return _with_pool(changed, pool.model_copy(update={"llm": llm}))


def _with_most(scenario: Scenario, replicas: int) -> Scenario:
    pool = _pool(scenario)
    least = min(pool.min_replicas, replicas)
    update = {"max_replicas": replicas, "min_replicas": least}
    return _with_pool(scenario, pool.model_copy(update=update))


def _with_memory(scenario: Scenario, mebibytes: int) -> Scenario:
    worker = scenario.worker.model_copy(update={"memory_limit_mebibytes": mebibytes})
    return scenario.model_copy(update={"worker": worker})
