"""What it would take to give a pool's queues what they ask for."""

from math import ceil

from scanpool.decide.feedback import RECOVERY_PER_SECOND
from scanpool.decide.quota import SLOW_START_STEP_SECONDS
from scanpool.models.budget import Unit
from scanpool.models.conditions import Reason
from scanpool.models.decision import LimitedBy
from scanpool.models.llm import Llm
from scanpool.models.memory import Quota
from scanpool.models.spec import PoolSpec
from scanpool.models.status import (
    BudgetStatus,
    CeilingsStatus,
    LlmStatus,
    MemoryStatus,
    PoolStatus,
)

WHOLE_PERCENT = 100
SECONDS_PER_MINUTE = 60
TENTH_OF_A_MILLION = 100_000
HUNDRED = 100
# Figures of the status have three digits: less than this from a claim, a grant is all of it.
ROUNDING_SHARE = 0.01


def lift(spec: PoolSpec, status: PoolStatus, observed_at: float | None) -> str | None:
    """Say what would give the queues what they ask for; None if nothing does, or a rung says it.

    `observed_at` is when the status was observed, in seconds since the epoch.
    """
    demand = next((step.after for step in status.steps if step.step == "demand"), None)
    if demand is None:
        return None
    wanted = min(max(demand, spec.min_replicas), spec.max_replicas)
    if any(one.reason is Reason.FLOOR_ABOVE_CEILING for one in status.conditions):
        return _instead_of_the_floor(spec, status, wanted)
    return _of_the_rule(spec, status, demand, wanted, observed_at)


def _of_the_rule(
    spec: PoolSpec, status: PoolStatus, demand: int, wanted: int, observed_at: float | None
) -> str | None:
    match status.limited_by:
        case LimitedBy.TOKENS | LimitedBy.REQUESTS:
            told = (_time(status, observed_at), _limit(spec, status, wanted))
            return "; then ".join(one for one in told if one is not None) or None
        case LimitedBy.MEMORY if status.memory is not None:
            return _room(wanted, status.replicas or 0, status.memory)
        case LimitedBy.MIN_REPLICAS:
            return f"spec.minReplicas of {demand}"
        case LimitedBy.MAX_REPLICAS:
            return f"spec.maxReplicas of {demand}"
        case LimitedBy.QUOTA if status.llm is not None:
            return _breaker(status.llm)
        case _:
            return None


def _instead_of_the_floor(spec: PoolSpec, status: PoolStatus, wanted: int) -> str:
    ceilings = status.ceilings or CeilingsStatus()
    known = [one for one in (ceilings.tokens, ceilings.requests) if one is not None]
    lower = (
        f"spec.minReplicas of {min(known, default=0)}, so that {spec.min_replicas} replicas buy no "
        "more 429s"
    )
    higher = _limit(spec, status, wanted)
    return lower if higher is None else f"{higher}; or {lower}"


def _time(status: PoolStatus, observed_at: float | None) -> str | None:
    """Say that it passes: growth is stopped, or part of the ceiling held back, after refusals."""
    kept, backoff = status.checkpoint, None if status.llm is None else status.llm.backoff_percent
    until = None if kept is None else kept.growth_stopped_until
    by_tokens = status.limited_by is LimitedBy.TOKENS
    if by_tokens and until is not None and observed_at is not None and until > observed_at:
        minutes = ceil((until - observed_at) / SECONDS_PER_MINUTE)
        return f"time: the provider asked to slow down, so nothing grows for {minutes} min"
    if backoff is not None and backoff < WHOLE_PERCENT:
        seconds = round((1 - backoff / WHOLE_PERCENT) / RECOVERY_PER_SECOND)
        return (
            f"time: after 429s {backoff}% of the ceiling are in force, and all of it is back "
            f"{ceil(seconds / SECONDS_PER_MINUTE)} min after none are measured any more"
        )
    return None


def _limit(spec: PoolSpec, status: PoolStatus, wanted: int) -> str | None:
    """Say which limit the wanted replicas need; None if it is not the limit that is too small."""
    if spec.llm is None or status.llm is None or status.llm.tokens_per_replica_minute is None:
        return None
    per_replica = status.llm.tokens_per_replica_minute
    if _by_requests(status):
        return _requests(wanted, per_replica, spec.llm, status.llm)
    rung = next((one.reason for one in status.steps if one.step == "tokens ceiling"), "")
    for unit, limit in (
        (Unit.INPUT_TOKENS, status.llm.input_tokens_per_minute_limit),
        (Unit.OUTPUT_TOKENS, status.llm.output_tokens_per_minute_limit),
    ):
        if unit in rung:
            return _one_side(wanted, unit, limit, status)
    needed = _shared if status.llm.budget is not None else _alone
    return needed(wanted, per_replica, spec.llm, status.llm)


def _by_requests(status: PoolStatus) -> bool:
    """Tell whether requests bind; where neither limit is said to, the smaller ceiling does."""
    if status.limited_by in (LimitedBy.TOKENS, LimitedBy.REQUESTS) or status.ceilings is None:
        return status.limited_by is LimitedBy.REQUESTS
    tokens, requests = status.ceilings.tokens, status.ceilings.requests
    return requests is not None and (tokens is None or requests < tokens)


def _alone(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    used = wanted * per_replica + (llm.others_tokens_per_minute or 0)
    needed = used * WHOLE_PERCENT / spec.target_utilization_percent
    if needed > (llm.limit_tokens_per_minute or 0):
        return f"needs {_millions(needed)} TPM for {wanted} replicas"
    if spec.ramp is not None:
        return (
            f"time, or a wider llm.ramp: use may grow by {spec.ramp.percent}% in "
            f"{spec.ramp.period_seconds} s, and freely up to "
            f"{_millions(spec.ramp.above_tokens_per_minute)} TPM"
        )
    return None


def _shared(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    """Say what there would have to be for all, when everyone's share rises with this pool's.

    The shares are weighted max-min fair (decide/budget.py): at the level at which this pool gets
    what it wants, each other gets its weight times that level, as far as it claims it.
    """
    budget = llm.budget
    if budget is None or llm.limit_tokens_per_minute is None:
        return None
    if budget.grant_tokens_per_minute >= (1 - ROUNDING_SHARE) * budget.claim_tokens_per_minute:
        return (
            "time: the share is there, and other pools have yet to give back what they hold of it"
        )
    own = wanted * per_replica
    theirs = sum(
        min(
            one.claim_tokens_per_minute,
            max(one.grant_tokens_per_minute, own * one.weight / spec.weight),
        )
        for one in budget.others
    )
    missing = own + theirs - budget.tokens_per_minute
    needed = llm.limit_tokens_per_minute + missing * WHOLE_PERCENT / spec.target_utilization_percent
    return (
        f"needs {_millions(needed)} TPM for {wanted} replicas beside {_others(budget)}, "
        f"or more of their part by an llm.weight above {spec.weight}"
    )


def _others(budget: BudgetStatus) -> str:
    parts = ", ".join(
        f"{one.pool} is granted {one.grant_tokens_per_minute:,} TPM" for one in budget.others
    )
    count = len(budget.others)
    return f"{count} other pool{'s' if count > 1 else ''} ({parts})"


def _one_side(wanted: int, unit: Unit, limit: int | None, status: PoolStatus) -> str | None:
    """Scale the limit up by the replicas, others' use with it: no more than that can be needed."""
    fits = None if status.ceilings is None else status.ceilings.tokens
    if not fits or limit is None:
        return None
    return f"needs at most {_millions(limit * wanted / fits)} {unit} for {wanted} replicas"


def _requests(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    """Take the requests that go with tokens from what the whole key does."""
    requests, tokens = llm.requests_per_minute_used, llm.used_tokens_per_minute
    if not requests or not tokens:
        return None
    used = wanted * per_replica + (llm.others_tokens_per_minute or 0)
    needed = used * requests / tokens * WHOLE_PERCENT / spec.target_utilization_percent
    if needed <= (llm.requests_per_minute_limit or 0):
        return None
    return f"needs about {ceil(needed / HUNDRED) * HUNDRED:,} RPM for {wanted} replicas"


def _room(wanted: int, replicas: int, memory: MemoryStatus) -> str | None:
    missing = wanted - replicas - (memory.fits or 0)
    if missing <= 0:
        # There is room; what is wrong is in the rung.
        return None
    return f"room on the nodes for {missing} more replicas of {memory.per_replica}"


def _breaker(llm: LlmStatus) -> str:
    match llm.quota:
        case Quota.HALF_OPEN:
            return "time: the provider answers again, and one more answer closes the breaker"
        case Quota.CLOSED:
            return (
                "time: after the provider's refusals the pool may have twice as many replicas "
                f"every {SLOW_START_STEP_SECONDS:.0f} s"
            )
        case _:
            return "credit on the provider's account"


def _millions(tokens: float) -> str:
    """Round up to what a limit is sold in: 4,705,882 becomes 4.8 M."""
    return f"{ceil(tokens / TENTH_OF_A_MILLION) / 10:.1f} M"
