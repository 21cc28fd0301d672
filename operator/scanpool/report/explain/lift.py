"""What it would take to give a pool's queues what they ask for."""

from collections.abc import Mapping
from math import ceil, inf

from scanpool.decide import schedules
from scanpool.decide.backoff import RECOVERY_PER_SECOND
from scanpool.decide.breaker import SLOW_START_STEP_SECONDS, Quota
from scanpool.decide.decision import Rung
from scanpool.decide.watermarks import DECIDES
from scanpool.models.claims import Unit
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.field_names import of_limit
from scanpool.models.llm import ONLY, Llm
from scanpool.models.spec import PoolSpec
from scanpool.models.units import SECONDS_PER_MINUTE, WHOLE_PERCENT, seconds
from scanpool.report.pool_status import LlmStatus, PoolStatus

TENTH_OF_A_MILLION = 100_000
HUNDRED = 100
# Figures of the status have three digits: less than this from a claim, a grant is all of it.
ROUNDING_SHARE = 0.01


def lift(spec: PoolSpec, status: PoolStatus) -> str | None:
    """Say what would give the queues what they ask for; None if nothing does, or a rung says it."""
    demand = next((step.after for step in status.steps if step.step == Rung.DEMAND), None)
    if demand is None:
        return None
    spec = schedules.under(spec, status.schedule)
    wanted = min(max(demand, spec.min_replicas), spec.max_replicas)
    if (binding := status.binding_llm) is not None and binding in spec.limits:
        # What is said of the limit is said of the one that binds.
        spec = spec.only(binding)
    if any(one.reason is Reason.FLOOR_ABOVE_CEILING for one in status.conditions):
        told: str | None = _instead_of_the_floor(spec, status, wanted)
    else:
        told = _of_the_rule(spec, status, demand, wanted)
    return told and of_limit(told, binding or ONLY)


def _of_the_rule(spec: PoolSpec, status: PoolStatus, demand: int, wanted: int) -> str | None:
    match status.limited_by:
        case LimitedBy.TOKENS | LimitedBy.REQUESTS:
            told = (_time(status), _limit(spec, status, wanted))
            return "; then ".join(one for one in told if one is not None) or None
        case LimitedBy.MEMORY if status.memory is not None:
            missing = wanted - (status.replicas or 0) - (status.memory.fits or 0)
            room = f"room on the nodes for {missing} more replicas of {status.memory.per_replica}"
            # Where there is room, what is wrong is in the rung.
            return room if missing > 0 else None
        case LimitedBy.MIN_REPLICAS:
            return f"{_bounds(status)}.minReplicas of {demand}"
        case LimitedBy.MAX_REPLICAS:
            return f"{_bounds(status)}.maxReplicas of {demand}"
        case LimitedBy.QUOTA if status.llm is not None:
            return _breaker(status.llm)
        case _:
            return None


def _bounds(status: PoolStatus) -> str:
    """Name the part of the spec that has the bounds in force."""
    return "spec" if status.schedule is None else f"spec.schedules[{status.schedule}]"


def _instead_of_the_floor(spec: PoolSpec, status: PoolStatus, wanted: int) -> str:
    ceilings = status.ceilings or {}
    fed = min((ceilings[limit] for limit in ("tokens", "requests") if limit in ceilings), default=0)
    kept = f"so that {spec.min_replicas} replicas buy no more 429s"
    lower = f"{_bounds(status)}.minReplicas of {fed}, {kept}"
    higher = _limit(spec, status, wanted)
    return lower if higher is None else f"{higher}; or {lower}"


def _time(status: PoolStatus) -> str | None:
    """Say that it passes: growth is stopped, or part of the ceiling held back, after refusals."""
    if status.llm is None:
        return None
    backoff, now = status.llm.backoff_percent, seconds(status.llm.observed_at)
    until = None if status.checkpoint is None else status.checkpoint.growth_stopped_until
    by_tokens = status.limited_by is LimitedBy.TOKENS
    if by_tokens and until is not None and now is not None and until > now:
        minutes = ceil((until - now) / SECONDS_PER_MINUTE)
        return f"time: the provider asked to slow down, so nothing grows for {minutes} min"
    if backoff is None or backoff >= WHOLE_PERCENT:
        return None
    rest = round((1 - backoff / WHOLE_PERCENT) / RECOVERY_PER_SECOND)
    return (
        f"time: after 429s {backoff}% of the ceiling are in force, and all of it is back "
        f"{ceil(rest / SECONDS_PER_MINUTE)} min after none are measured any more"
    )


def _limit(spec: PoolSpec, status: PoolStatus, wanted: int) -> str | None:
    """Say which limit the wanted replicas need; None if it is not the limit that is too small."""
    llm, ceilings = status.llm, status.ceilings or {}
    if spec.llm is None or llm is None or llm.tokens_per_replica_minute is None:
        return None
    sides = {
        Unit.INPUT_TOKENS: llm.input_tokens_per_minute_limit,
        Unit.OUTPUT_TOKENS: llm.output_tokens_per_minute_limit,
    }
    if llm.binding_limit is Unit.TOKENS_A_DAY and not _by_requests(status.limited_by, ceilings):
        return _day(llm)
    needed = _alone if llm.budget is None else _shared
    if _by_requests(status.limited_by, ceilings):
        needed = _requests
    elif (unit := llm.binding_limit) in sides:
        # The limit goes up with the replicas, others' use with it: no more can be needed.
        fits, limit = ceilings.get("tokens"), sides[unit]
        if not fits or limit is None:
            return None
        return f"needs at most {_millions(limit * wanted / fits)} {unit} for {wanted} replicas"
    return needed(wanted, llm.tokens_per_replica_minute, spec.llm, llm)


def _by_requests(limited_by: LimitedBy | None, ceilings: Mapping[str, int]) -> bool:
    """Tell whether requests bind; where neither limit is said to, the smaller ceiling does."""
    if limited_by in (LimitedBy.TOKENS, LimitedBy.REQUESTS):
        return limited_by is LimitedBy.REQUESTS
    return ceilings.get("requests", inf) < ceilings.get("tokens", inf)


def _alone(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    used = wanted * per_replica + (llm.others_tokens_per_minute or 0)
    needed = used * WHOLE_PERCENT / _percent(spec, llm)
    if needed > (llm.limit_tokens_per_minute or 0):
        return f"needs {_millions(needed)} TPM for {wanted} replicas"
    if (ramp := spec.ramp) is None:
        return None
    return (
        f"time, or a wider llm.ramp: use may grow by {ramp.percent}% in {ramp.period_seconds} s, "
        f"and freely up to {_millions(ramp.above_tokens_per_minute)} TPM"
    )


def _shared(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    """Say what there would have to be for all, when everyone's share rises with this pool's.

    The shares are weighted max-min fair (decide/fair.py): at the level at which this pool gets
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
    theirs = 0.0
    for one in budget.others:
        level = max(one.grant_tokens_per_minute, own * one.weight / spec.weight)
        theirs += min(one.claim_tokens_per_minute, level)
    missing = own + theirs - budget.tokens_per_minute
    needed = llm.limit_tokens_per_minute + missing * WHOLE_PERCENT / _percent(spec, llm)
    granted = [
        f"{one.pool} is granted {one.grant_tokens_per_minute:,} TPM" for one in budget.others
    ]
    if budget.more_others:
        # What the rest would have to have with it is not told.
        return None
    pools = f"{len(granted)} other pool{'s' if len(granted) > 1 else ''} ({', '.join(granted)})"
    return (
        f"needs {_millions(needed)} TPM for {wanted} replicas beside {pools}, "
        f"or more of their part by an llm.weight above {spec.weight}"
    )


def _percent(spec: Llm, llm: LlmStatus) -> int:
    """Return the share of the token limit that is planned with: all, where the level decides."""
    return WHOLE_PERCENT if llm.bucket_state in DECIDES else spec.target_utilization_percent


def _requests(wanted: int, per_replica: int, spec: Llm, llm: LlmStatus) -> str | None:
    """Take the requests that go with tokens from what the whole key does."""
    requests, tokens = llm.requests_per_minute_used, llm.used_tokens_per_minute
    if not requests or not tokens:
        return None
    used = wanted * per_replica + (llm.others_tokens_per_minute or 0)
    needed = used * requests / tokens * WHOLE_PERCENT / spec.target_utilization_percent
    limit = llm.requests_per_minute_limit
    if llm.requests_per_day_limit is not None and (limit is None or needed <= limit):
        return _day(llm)
    if needed <= (limit or 0):
        return None
    return f"needs about {ceil(needed / HUNDRED) * HUNDRED:,} RPM for {wanted} replicas"


def _day(llm: LlmStatus) -> str:
    return f"time, until {llm.day_ends_at}, or a higher limit of a day"


def _breaker(llm: LlmStatus) -> str:
    match llm.quota:
        case Quota.HALF_OPEN:
            return "time: the provider answers again, and one more answer closes the breaker"
        case Quota.CLOSED:
            return (
                "time: after the provider's refusals the pool may have twice as many replicas "
                f"every {SLOW_START_STEP_SECONDS:.0f} s"
            )
        case _ if llm.quota_ends_at is not None:
            return f"time, until {llm.quota_ends_at}; or a higher quota"
        case _:
            return "credit on the provider's account"


def _millions(tokens: float) -> str:
    """Round up to what a limit is sold in: 4,705,882 becomes 4.8 M."""
    return f"{ceil(tokens / TENTH_OF_A_MILLION) / 10:.1f} M"
