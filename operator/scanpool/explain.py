"""A pool's status in words: which number decided, and what would lift the limit."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from pydantic import ValidationError

from scanpool.models.decision import LimitedBy
from scanpool.models.reading import Unavailable
from scanpool.models.status import LlmStatus, MemoryStatus, PoolStatus, StepStatus
from scanpool.reconcile import Pool, parse

UNKNOWN = "unknown"
# Rungs that say something even where they change nothing.
TELLING = frozenset({"demand", "hold", "billing breaker"})
WHOLE_PERCENT = 100
TENTH_OF_A_MILLION = 100_000


def explain(body: Mapping[str, Any]) -> str:
    """Return the ladder of a pool's last decision in words, from the object as the API sent it."""
    pool = Pool.from_body(body)
    try:
        status = PoolStatus.model_validate(pool.status)
    except ValidationError:
        return (
            f"{pool.namespace}/{pool.name} has a status of another version of scanpool: "
            "use the operator's own to explain it"
        )
    if not status.conditions:
        return (
            f"{pool.namespace}/{pool.name} has no status yet: is the operator running? "
            "(kubectl -n scanpool-system get pods)"
        )
    return "\n".join(_lines(pool, status))


def _lines(pool: Pool, status: PoolStatus) -> Iterator[str]:
    unlimited = status.limited_by in (None, LimitedBy.NONE)
    yield (
        f"{pool.namespace}/{pool.name}: {_figure(status.replicas)} replicas, "
        f"{_figure(status.ready_replicas)} ready, {_figure(status.desired_replicas)} desired"
        f"{'' if unlimited else f', limited by {status.limited_by}'}"
    )
    if status.backlog is not None:
        yield f"  backlog      {status.backlog:,} messages ({status.backlog_source})"
    if status.llm is not None:
        yield from _llm(status.llm)
    if status.memory is not None:
        yield (
            f"  memory       {status.memory.per_replica} per replica "
            f"({status.memory.per_replica_source}); {_figure(status.memory.fits)} more fit on "
            f"{status.memory.nodes} nodes"
        )
    if status.steps:
        yield ""
        yield "How it came to that:"
        told = [step for step in status.steps if _is_telling(step)]
        width = max(len(step.step) for step in told)
        for step in told:
            kept = step.before == step.after
            change = f"{step.after}" if kept else f"{step.before} -> {step.after}"
            yield f"  {step.step:<{width}}  {change:>10}  {step.reason}"
    lift = _lift(pool, status)
    if lift is not None:
        yield ""
        yield lift
    yield ""
    yield "Conditions:"
    for condition in status.conditions:
        yield f"  {condition.type}={condition.status} ({condition.reason}): {condition.message}"


def _is_telling(step: StepStatus) -> bool:
    """Tell whether a rung is worth a line: one that changed nothing is, if it shows a number."""
    return step.before != step.after or step.step in TELLING or step.step.endswith("ceiling")


def _llm(llm: LlmStatus) -> Iterator[str]:
    yield (
        f"  tokens       {_figure(llm.used_tokens_per_minute)} of "
        f"{_figure(llm.limit_tokens_per_minute)} TPM used"
        f"{f' ({llm.used_source})' if llm.used_source else ''}, "
        f"headroom {_figure(llm.headroom_tokens_per_minute)} TPM"
        f"{'' if llm.headroom_percent is None else f' ({llm.headroom_percent}%)'}"
        f"{f', zone {llm.zone}' if llm.zone else ''}"
    )
    yield (
        f"  per replica  {_figure(llm.tokens_per_replica_minute)} TPM"
        f"{f' ({llm.tokens_per_replica_source})' if llm.tokens_per_replica_source else ''}; others "
        f"on the key use {_figure(llm.others_tokens_per_minute)} TPM; quota {llm.quota or UNKNOWN}"
    )


def _lift(pool: Pool, status: PoolStatus) -> str | None:
    """Say what it would take to give the queues what they ask for; None if the rungs say it."""
    spec = parse(pool)
    demand = next((step.after for step in status.steps if step.step == "demand"), None)
    if isinstance(spec, Unavailable) or demand is None:
        return None
    wanted = min(demand, spec.max_replicas)
    match status.limited_by:
        case LimitedBy.TOKENS if spec.llm is not None and status.llm is not None:
            return _lift_tokens(wanted, spec.llm.target_utilization_percent, status.llm)
        case LimitedBy.MEMORY if status.memory is not None:
            return _lift_memory(wanted, status.replicas or 0, status.memory)
        case LimitedBy.MAX_REPLICAS:
            return f"What would lift it: spec.maxReplicas of {demand}."
        case LimitedBy.QUOTA:
            return "What would lift it: credit on the provider's account."
        case _:
            return None


def _lift_tokens(wanted: int, target_percent: int, llm: LlmStatus) -> str | None:
    if llm.backoff_percent is not None and llm.backoff_percent < WHOLE_PERCENT:
        return (
            f"What would lift it: time. After 429s {llm.backoff_percent}% of the ceiling are in "
            "force; it recovers while there are none."
        )
    if llm.tokens_per_replica_minute is None:
        return None
    used = wanted * llm.tokens_per_replica_minute + (llm.others_tokens_per_minute or 0)
    needed = used * WHOLE_PERCENT / target_percent
    if needed <= (llm.limit_tokens_per_minute or 0):
        # Growth is stopped, not capped: the rung says why and for how long.
        return None
    return f"What would lift it: {wanted} replicas need a limit of {_millions(needed)} TPM."


def _lift_memory(wanted: int, replicas: int, memory: MemoryStatus) -> str | None:
    missing = wanted - replicas - (memory.fits or 0)
    if missing <= 0:
        # There is room; what is wrong is in the rung.
        return None
    return (
        f"What would lift it: room on the nodes for {missing} more replicas of "
        f"{memory.per_replica}."
    )


def _millions(tokens: float) -> str:
    """Round up to what a limit is sold in: 4,705,882 becomes 4.8 M."""
    return f"{ceil(tokens / TENTH_OF_A_MILLION) / 10:.1f} M"


def _figure(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"
