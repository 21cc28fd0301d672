"""The billing breaker: while the provider refuses to be paid, no worker should ask it.

state     | probe: billing code | probe: answered            | probe: unavailable | no probe
Closed    | Open                | Closed                     | Closed             | Closed
Open      | Open                | HalfOpen                   | Open               | Closed
HalfOpen  | Open                | Closed, by the next probe  | HalfOpen           | Closed

Without a probe, because the pool no longer asks for one, nothing could ever close it again.

Each answer counts once, however many ticks see it. The more answers were refusals, the longer until
the next probe while the breaker is open. Once closed it starts slowly: the cap of HalfOpen doubles
step by step. A refusal during that time opens it again, and the back-off goes on where it was.
"""

from dataclasses import replace

from scanpool.models.decision import Expiry
from scanpool.models.error_codes import is_billing
from scanpool.models.llm import Llm, OnQuotaExhausted
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import Observation
from scanpool.models.reading import Available

# Replicas that try the provider again before the breaker closes.
HALF_OPEN_REPLICAS = 1
# Half-open probing backs off from a minute, or from the probe's own interval where that is shorter,
# to a quarter of an hour: a top-up by hand is then found within about as long as it took.
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 900.0
# From the shortest interval of a probe, a second, these reach the longest back-off.
MOST_BACKOFF_DOUBLINGS = 10
# How old the probe's answer may be while the workers report billing errors: it costs at most twelve
# probes a minute, against the messages that fail until the breaker opens.
SUSPECTED_SECONDS = 5.0
# Slow start: a pod takes about this long until it calls the provider (feedback.POD_START_SECONDS
# has twice that as its cautious guess, image included), so each doubling rests on the one before.
SLOW_START_STEP_SECONDS = 30.0
SLOW_START_DOUBLINGS = 10
SLOW_START_SECONDS = SLOW_START_STEP_SECONDS * SLOW_START_DOUBLINGS


def trip(llm: Llm | None, observation: Observation, memory: Memory, now: float) -> Memory:
    """Return the memory with the breaker moved by the last probe's answer."""
    provider = observation.provider
    if llm is None or provider is None:
        return _forgotten(memory)
    if memory.quota is Quota.CLOSED and not _is_starting(memory, now):
        memory = replace(memory, quota_refusals=0)
    if isinstance(provider, Available):
        code, at = provider.value.billing_code, provider.at
        memory = _answered(memory, at) if code is None else _refused(memory, code, at)
    is_known = taints_refusals(memory, llm.usage.window_seconds, now)
    return replace(memory, quota_suspected=not is_known and _workers_met_billing(observation))


def probe_age(llm: Llm, memory: Memory) -> float:
    """Return how old the probe's answer may be, in seconds, before the provider is asked again."""
    interval = float(llm.probe.interval_seconds)
    if memory.quota is Quota.OPEN:
        doublings = min(max(memory.quota_refusals - 1, 0), MOST_BACKOFF_DOUBLINGS)
        backoff = min(interval, FIRST_BACKOFF_SECONDS) * 2.0**doublings
        return max(interval, min(backoff, LONGEST_BACKOFF_SECONDS))
    if memory.quota is Quota.HALF_OPEN or memory.quota_refusals > 0:
        return min(interval, FIRST_BACKOFF_SECONDS)
    return min(interval, SUSPECTED_SECONDS) if memory.quota_suspected else interval


def taints_refusals(memory: Memory, window_seconds: float, now: float) -> bool:
    """Tell whether refused calls of the workers may be billing errors, whatever they are called.

    Many client libraries count every 429 alike, and rates reach back by the usage window.
    """
    if memory.quota is not Quota.CLOSED:
        return True
    return memory.quota_closed_at is not None and now < memory.quota_closed_at + window_seconds


def cap(
    memory: Memory, choice: OnQuotaExhausted, current: int, min_replicas: int, now: float
) -> int | None:
    """Return the most replicas that the breaker allows; None if it limits nothing.

    The slow start only bounds growth: it takes none of the `current` replicas.
    """
    if memory.quota is Quota.OPEN:
        return {
            OnQuotaExhausted.HOLD: current,
            OnQuotaExhausted.SCALE_TO_ZERO: 0,
            OnQuotaExhausted.SCALE_TO_MIN: min_replicas,
        }[choice]
    if memory.quota is Quota.HALF_OPEN:
        return current if choice is OnQuotaExhausted.HOLD else _first_replicas(min_replicas)
    if memory.quota_closed_at is None or not _is_starting(memory, now):
        return None
    steps = int(max(now - memory.quota_closed_at, 0.0) / SLOW_START_STEP_SECONDS)
    return max(_first_replicas(min_replicas) << steps, current)


def reason(memory: Memory, choice: OnQuotaExhausted, min_replicas: int) -> str:
    """Return why the breaker limits the pool, in words."""
    if memory.quota is Quota.OPEN:
        return (
            f"the provider refuses every call ({memory.quota_code}): onQuotaExhausted is {choice}"
        )
    kept = " or those that were kept" if choice is OnQuotaExhausted.HOLD else ""
    return (
        "the provider answers again: replicas come back slowly, "
        f"{_first_replicas(min_replicas)} at first{kept}, "
        f"then twice as many every {SLOW_START_STEP_SECONDS:.0f} s"
    )


def first_expiry(observation: Observation) -> Expiry | None:
    """Return the queue whose messages expire first; None if none does, or if it is not known.

    A breaker that stops the consumers leaves messages waiting: this is how long they may.
    """
    if not isinstance(observation.rates, Available):
        return None
    expiries = (
        Expiry(queue.name, queue.message_ttl_seconds)
        for queue in observation.rates.value
        if queue.message_ttl_seconds is not None
    )
    return min(expiries, key=lambda expiry: expiry.seconds, default=None)


def _refused(memory: Memory, code: str, at: float) -> Memory:
    if not _is_new(memory, at):
        return memory
    counted = replace(memory, quota_refusals=memory.quota_refusals + 1, quota_refused_at=at)
    if memory.quota is Quota.OPEN and memory.quota_code == code:
        return counted
    return replace(counted, quota=Quota.OPEN, quota_code=code, quota_since=at)


def _answered(memory: Memory, at: float) -> Memory:
    if memory.quota is Quota.CLOSED or not _is_new(memory, at):
        return memory
    if memory.quota is Quota.OPEN:
        return replace(memory, quota=Quota.HALF_OPEN, quota_since=at)
    return replace(
        memory,
        quota=Quota.CLOSED,
        quota_code=None,
        quota_since=None,
        quota_refused_at=None,
        quota_closed_at=at,
    )


def _first_replicas(min_replicas: int) -> int:
    return max(HALF_OPEN_REPLICAS, min_replicas)


def _is_new(memory: Memory, at: float) -> bool:
    """Tell whether an answer is none of those that the breaker has counted."""
    return all(one is None or at > one for one in (memory.quota_since, memory.quota_refused_at))


def _is_starting(memory: Memory, now: float) -> bool:
    closed_at = memory.quota_closed_at
    return closed_at is not None and now - closed_at < SLOW_START_SECONDS


def _workers_met_billing(observation: Observation) -> bool:
    usage = observation.usage
    return isinstance(usage, Available) and any(map(is_billing, usage.value.refused_codes))


def _forgotten(memory: Memory) -> Memory:
    return replace(
        memory,
        quota=Quota.CLOSED,
        quota_code=None,
        quota_since=None,
        quota_refusals=0,
        quota_refused_at=None,
        quota_closed_at=None,
        quota_suspected=False,
    )
