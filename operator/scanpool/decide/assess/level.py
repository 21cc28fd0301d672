"""Another look at the provider's bucket, beside what else is known at that moment."""

from typing import NamedTuple

from scanpool.decide import bucket, cost, limits
from scanpool.decide.bucket import Bucket, Measured
from scanpool.decide.cost import Learned
from scanpool.decide.limits import KnownLimits
from scanpool.decide.llm_signals import Use
from scanpool.decide.looks import Look
from scanpool.decide.signals import Workers
from scanpool.models.observation import Observation
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import PoolSpec


class Known(NamedTuple):
    """What is known of a limit: as believed with this tick's answer, and as remembered."""

    limits: KnownLimits
    cost: Learned
    bucket: Bucket


def look(
    spec: PoolSpec, seen: Observation, use: Use, known: Known, workers: Workers, now: float
) -> Bucket:
    """Return the bucket after what the provider told last; `use` is what is measured beside it."""
    llm, latest = spec.llm, _latest(seen, known, now)
    if llm is None or latest is None:
        return known.bucket
    per_replica = cost.tokens(known.cost, llm).tokens
    is_measured = not bucket.is_implausible(use.whole.tokens, latest)
    idle = use.own.tokens if is_measured else 0.0
    if per_replica is None:
        # Without a cost what is measured has to do, and what is not is anybody's.
        idle, busy = idle or 0.0, 0
    else:
        idle = None if idle is None else min(idle, workers.ready * per_replica)
        busy = workers.ready if _is_busy(seen, workers) else 0
    is_own_read = use.own_is_told or not isinstance(seen.rates, Unavailable)
    told = Measured(
        whole=use.whole.tokens if use.source is not None else None,
        # All that may be theirs while the own part is missing is not to be remembered as theirs.
        others=use.others.tokens if use.others_are_told and is_own_read else None,
        per_replica=per_replica,
        steady_since=workers.steady_since,
    )
    at, tokens, limit = latest.at, latest.tokens, latest.limit
    seen_now = Look(at, tokens, limit, idle, workers.ready, busy, latest.is_told)
    return bucket.step(known.bucket, seen_now, told, now)


def _latest(seen: Observation, known: Known, now: float) -> Look | None:
    """Return the level that the provider tells; while it tells none to rely on, as reckoned on."""
    answer = seen.provider
    if isinstance(answer, Unavailable):
        return bucket.reckoned(known.bucket, now)
    if not isinstance(answer, Available):
        return None
    tokens, unit = answer.value.tokens_remaining, limits.of_level(known.limits)
    limit = answer.value.limit(unit)
    if tokens is None or limit is None:
        return None
    believed = known.limits.by_unit.get(unit)
    if believed is not None and limit > believed.value:
        # A single answer does not raise a limit: nor does the bucket count that it tells.
        return bucket.reckoned(known.bucket, now)
    return Look(answer.at, tokens, limit)


def _is_busy(seen: Observation, workers: Workers) -> bool:
    """Tell whether a message waits for every replica."""
    queues = seen.queues
    return isinstance(queues, Available) and sum(one.ready for one in queues.value) >= workers.ready
