"""What refused calls teach: back off after rate-limit 429s, stop growing after `slow_down`.

Billing errors and 503 teach nothing here: neither says that the pool is too large.
"""

from dataclasses import replace

from scanpool.decide import quota
from scanpool.models.decision import Ceiling
from scanpool.models.error_codes import SLOW_DOWN
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation
from scanpool.models.reading import Available, Unavailable

# AIMD: the ceiling is multiplied by this after rate-limit 429s.
BACKOFF = 0.7
# However many 429s come, some of the limit stays in use: below this, others use it, not we.
LEAST_FACTOR = 0.2
# Additive recovery: a full ceiling is back three minutes after one back-off.
RECOVERY_PER_SECOND = 0.1 / 60
# The provider asks for at most 50% more load within 15 minutes when it says `slow_down`.
SLOW_DOWN_SECONDS = 900
# A pod's start when none has been seen to start: image, probe delay, connection.
POD_START_SECONDS = 60.0
# A Deployment's default progress deadline. Ready's transition time moves whenever a probe fails:
# a pod that became ready later than this became ready again.
LONGEST_POD_START_SECONDS = 600.0


def pod_start_seconds(observation: Observation) -> float:
    """Return how long the slowest of the pool's pods took from its creation until ready."""
    starts = [
        pod.ready_at - pod.created_at
        for pod in observation.target.pods
        if pod.ready_at is not None
        and 0 <= pod.ready_at - pod.created_at <= LONGEST_POD_START_SECONDS
    ]
    return max(starts, default=POD_START_SECONDS)


def hold_seconds(window_seconds: int, observation: Observation, now: float) -> float:
    """Return how long a back-off must stand before its effect can be measured.

    The rates are averages over the usage window, their newest sample is some seconds old, and a pod
    that was starting spends only once it is ready.
    """
    usage = observation.usage
    delay = max(now - usage.at, 0.0) if isinstance(usage, Available) else 0.0
    return window_seconds + delay + pod_start_seconds(observation)


def backoff_factor(memory: Memory, hold: float, now: float) -> float:
    """Return the share of the ceiling in force, recovering once `hold` seconds saw no 429."""
    if memory.rate_limited_at is None:
        return 1.0
    calm = max(now - memory.rate_limited_at - hold, 0.0)
    return min(1.0, memory.backoff_factor + calm * RECOVERY_PER_SECOND)


def growth_stopped(memory: Memory, now: float) -> bool:
    """Tell whether a `slow_down` of the provider is still in force."""
    return memory.growth_stopped_until is not None and now < memory.growth_stopped_until


def without_growth(ceiling: Ceiling, current: int) -> Ceiling:
    """Return the ceiling, with no room above the current replicas."""
    if ceiling.replicas is None or ceiling.replicas <= current:
        return ceiling
    reason = "the provider asked to slow down: no growth for 15 minutes"
    return replace(ceiling, replicas=current, keeps=current, reason=reason)


def learn_from_refusals(
    memory: Memory, observation: Observation, window_seconds: int, now: float
) -> Memory:
    """Return the memory after this tick's 429s, one back-off per `hold_seconds` at most.

    Clients call refusals for billing reasons 429s too: around an exhausted quota the workers' 429s
    say nothing of the limit.
    """
    hold = hold_seconds(window_seconds, observation, now)
    if (slowed_at := _slowed_at(observation)) is not None:
        # The probe's answer may be older than what the workers met in between.
        until = max(slowed_at + SLOW_DOWN_SECONDS, memory.growth_stopped_until or 0.0)
        memory = replace(memory, growth_stopped_until=until)
    factor = backoff_factor(memory, hold, now)
    counted = not quota.taints_refusals(memory, window_seconds, now)
    if not _rate_limited(memory, observation, counted=counted):
        if factor < 1.0 and isinstance(observation.usage, Unavailable):
            # Refusals that are not counted are not none: the calm begins anew.
            return replace(memory, rate_limited_at=now, backoff_factor=factor)
        if factor < 1.0 or memory.rate_limited_at is None:
            return memory
        return _recovered(memory)
    memory = replace(memory, rate_limited_at=now, backoff_factor=factor)
    if memory.backoff_at is not None and now - memory.backoff_at < hold:
        return memory
    return replace(memory, backoff_at=now, backoff_factor=max(factor * BACKOFF, LEAST_FACTOR))


def without_backoff_since(memory: Memory, since: float) -> Memory:
    """Return the memory without a back-off that is newer than `since`.

    Some clients count refusals for billing reasons as any 429: one that came between the provider's
    last answer to the probe and the breaker's opening was of that kind.
    """
    if memory.backoff_at is None or memory.backoff_at <= since:
        return memory
    return _recovered(memory)


def _recovered(memory: Memory) -> Memory:
    return replace(memory, rate_limited_at=None, backoff_at=None, backoff_factor=1.0)


def _slowed_at(observation: Observation) -> float | None:
    """Return when the provider last said to the probe or to the workers to slow down."""
    usage, provider = observation.usage, observation.provider
    said = []
    if isinstance(provider, Available) and provider.value.slow_down:
        said.append(provider.at)
    if isinstance(usage, Available) and SLOW_DOWN in usage.value.refused_codes:
        said.append(usage.at)
    return max(said, default=None)


def _rate_limited(memory: Memory, observation: Observation, *, counted: bool) -> bool:
    usage, provider = observation.usage, observation.provider
    refused = isinstance(usage, Available) and (usage.value.rate_limited_per_minute or 0) > 0
    if counted and refused:
        return True
    # A probe's answer is shared until the next probe: its 429 counts once.
    return (
        isinstance(provider, Available)
        and provider.value.rate_limited
        and (memory.rate_limited_at is None or provider.at > memory.rate_limited_at)
    )
