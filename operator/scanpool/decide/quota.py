"""The billing breaker: while the provider refuses to be paid, no worker should ask it.

state     | probe: billing code | probe: answered            | probe: unavailable | no probe
Closed    | Open                | Closed                     | Closed             | Closed
Open      | Open                | HalfOpen                   | Open               | Closed
HalfOpen  | Open                | Closed, by the next probe  | HalfOpen           | Closed

Without a probe, because the pool no longer asks for one, nothing could ever close it again.
"""

from dataclasses import replace

from scanpool.models.decision import Expiry
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import Observation
from scanpool.models.reading import Available
from scanpool.models.spec import OnQuotaExhausted

# Replicas that try the provider again before the breaker closes.
HALF_OPEN_REPLICAS = 1


def trip(memory: Memory, observation: Observation) -> Memory:
    """Return the memory with the breaker moved by the last probe's answer."""
    provider = observation.provider
    if provider is None:
        return _closed(memory)
    if not isinstance(provider, Available):
        return memory
    if (code := provider.value.billing_code) is not None:
        is_known = memory.quota is Quota.OPEN and memory.quota_code == code
        opened = replace(memory, quota=Quota.OPEN, quota_code=code, quota_since=provider.at)
        return memory if is_known else opened
    if memory.quota is Quota.CLOSED or provider.at <= (memory.quota_since or 0.0):
        return memory
    if memory.quota is Quota.OPEN:
        return replace(memory, quota=Quota.HALF_OPEN, quota_since=provider.at)
    return _closed(memory)


def cap(quota: Quota, choice: OnQuotaExhausted, current: int, min_replicas: int) -> int | None:
    """Return the most replicas that the breaker allows; None while it is closed."""
    if quota is Quota.CLOSED:
        return None
    if choice is OnQuotaExhausted.HOLD:
        return current
    if quota is Quota.HALF_OPEN:
        return max(HALF_OPEN_REPLICAS, min_replicas)
    return 0 if choice is OnQuotaExhausted.SCALE_TO_ZERO else min_replicas


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


def _closed(memory: Memory) -> Memory:
    return replace(memory, quota=Quota.CLOSED, quota_code=None, quota_since=None)
