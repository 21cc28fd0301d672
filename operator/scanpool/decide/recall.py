"""What is remembered from tick to tick, and what of it survives the process."""

from dataclasses import replace

from scanpool.decide import behavior, cost, feedback, limits, quota, ramp, room, use
from scanpool.models.llm import Llm
from scanpool.models.memory import (
    Checkpoint,
    KnownLimit,
    LimitCheckpoint,
    Memory,
    Quota,
    Scaling,
    UseSample,
    WorkingSet,
)
from scanpool.models.observation import Observation
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import PoolSpec

# Replicas that someone else sets back within this time are contested, not adjusted.
REVERT_WINDOW_SECONDS = 600
# Figures in the checkpoint are rounded, so that noise in them does not cost a write to the API.
COST_DIGITS = 2
LEARNED_STEP_SECONDS = 60
WORKING_SET_STEP = 32 * room.MEBIBYTE


def before(
    spec: PoolSpec, observation: Observation, memory: Memory, now: float
) -> tuple[Observation, Memory]:
    """Return the memory with all that this tick's readings teach, before anything is decided.

    And the observation, less what the memory shows not to be one.
    """
    memory = _notice_reverts(memory, observation.target.replicas, now)
    memory = room.remember_working_set(memory, observation.target.pods, now)
    known = isinstance(observation.queues, Available)
    failures = 0 if known else memory.failed_depth_readings + 1
    memory = replace(
        memory,
        failed_depth_readings=failures,
        scalings=behavior.forget_scalings(memory.scalings, now),
    )
    memory = _trip(spec.llm, observation, memory, now)
    if spec.llm is None:
        return observation, memory
    own = use.acknowledged(spec.rabbitmq.queues, observation)
    observation, memory = use.vet(spec.llm, observation, own, memory, now)
    return observation, _of_the_provider(spec.llm, spec, observation, memory, now)


def recommend(spec: PoolSpec, memory: Memory, replicas: int, now: float) -> Memory:
    """Return the memory with what this tick asks for.

    A tick that holds asks for what is there: after an outage, as after a restart, the window has
    to fill before replicas may go down.
    """
    kept = behavior.recommend(memory.recommendations, replicas, spec.behavior, now)
    return replace(memory, recommendations=kept)


def after_scaling(memory: Memory, current: int, desired: int, now: float) -> Memory:
    """Return the memory once the API server has taken a change of replicas."""
    scalings = (*memory.scalings, Scaling(now, desired - current))
    return replace(memory, scalings=scalings, last_desired=desired)


def checkpoint(memory: Memory) -> Checkpoint:
    """Return what the status keeps for the next process, rounded."""
    used = room.working_set(memory)
    learned, others = memory.tokens_per_replica, memory.level_others
    return Checkpoint(
        tokens_per_replica_minute=None if learned is None else _rounded(learned),
        rate_limited_at=memory.rate_limited_at,
        backoff_at=memory.backoff_at,
        backoff_factor=memory.backoff_factor if memory.backoff_factor < 1 else None,
        growth_stopped_until=memory.growth_stopped_until,
        quota=memory.quota,
        quota_code=memory.quota_code,
        quota_since=memory.quota_since,
        quota_refusals=memory.quota_refusals or None,
        quota_closed_at=memory.quota_closed_at,
        learned_seconds=None
        if learned is None
        else int(memory.learned_seconds // LEARNED_STEP_SECONDS) * LEARNED_STEP_SECONDS,
        limits=tuple(
            LimitCheckpoint(unit=unit, value=one.value, source=one.source)
            for unit, one in sorted(memory.limits.items())
        ),
        others_tokens_per_minute=None if others is None else _rounded(others.tokens),
        others_at=None if others is None else others.at,
        working_set_bytes=None if used is None else -(-used // WORKING_SET_STEP) * WORKING_SET_STEP,
    )


def restore(kept: Checkpoint | None, now: float) -> Memory:
    """Return the memory that a process starts with.

    Recommendations are not kept: the first tick holds and starts their windows anew.
    """
    if kept is None:
        return Memory()
    return Memory(
        tokens_per_replica=kept.tokens_per_replica_minute,
        learned_at=None if kept.tokens_per_replica_minute is None else now,
        learned_seconds=float(kept.learned_seconds or 0),
        level_others=None
        if kept.others_tokens_per_minute is None or kept.others_at is None
        else UseSample(kept.others_at, kept.others_tokens_per_minute),
        limits={one.unit: KnownLimit(one.value, one.source, now) for one in kept.limits},
        rate_limited_at=kept.rate_limited_at,
        backoff_at=kept.backoff_at,
        backoff_factor=1.0 if kept.backoff_factor is None else kept.backoff_factor,
        growth_stopped_until=kept.growth_stopped_until,
        quota=Quota(kept.quota),
        quota_code=kept.quota_code,
        quota_since=kept.quota_since,
        quota_refusals=kept.quota_refusals or 0,
        quota_closed_at=kept.quota_closed_at,
        working_sets=()
        if kept.working_set_bytes is None
        else (WorkingSet(now, kept.working_set_bytes),),
    )


def _trip(llm: Llm | None, observation: Observation, memory: Memory, now: float) -> Memory:
    """Move the breaker; what the workers met between the last good answer and now was no limit."""
    tripped = quota.trip(llm, observation, memory, now)
    if not (memory.quota is Quota.CLOSED and tripped.quota is Quota.OPEN):
        return tripped
    answers = (one.at for one in memory.limits.values() if one.source == limits.PROBE)
    return feedback.without_backoff_since(tripped, max(answers, default=0.0))


def _of_the_provider(
    llm: Llm, spec: PoolSpec, observation: Observation, memory: Memory, now: float
) -> Memory:
    """Return the memory with what is learned of the provider, its limits and the workers' cost."""
    window, queues = llm.usage.window_seconds, spec.rabbitmq.queues
    memory = limits.learn(llm, observation, memory, now)
    memory = use.learn_level(queues, observation, memory, window)
    memory = feedback.learn_from_refusals(memory, observation, window, now)
    used = use.measure(queues, observation, memory, now)
    memory = ramp.remember(llm.ramp, memory, used.whole.tokens, now)
    if (
        not isinstance(observation.queues, Available)
        or isinstance(observation.rates, Unavailable)
        or isinstance(observation.usage, Unavailable)
    ):
        # Others' use could pass for the pool's own, and a throttled replica for a cheap one.
        return memory
    return cost.learn(memory, used, observation.queues.value, observation, llm, now)


def _notice_reverts(memory: Memory, replicas: int, now: float) -> Memory:
    reverts = tuple(at for at in memory.reverted_at if at > now - REVERT_WINDOW_SECONDS)
    if memory.last_desired is None or memory.last_desired == replicas:
        return replace(memory, reverted_at=reverts)
    return replace(memory, reverted_at=(*reverts, now), last_desired=None)


def _rounded(value: float) -> int:
    """Round to the digits that a checkpoint keeps: 548,321 becomes 550,000, and nothing 0."""
    return max(int(float(f"{value:.{COST_DIGITS - 1}e}")), 1)
