"""Whether a new status is worth a write: a steady pool must cost the API server nothing."""

from scanpool.models.conditions import Condition, ConditionType
from scanpool.models.decision import Zone
from scanpool.models.status import (
    BudgetStatus,
    CeilingsStatus,
    ClaimantStatus,
    LlmStatus,
    MemoryStatus,
    PoolStatus,
    RefusalStatus,
)

# A rate that moved by less than this share of the limit moves nobody to act.
RATE_SHARE = 0.02
# Of its own value, where there is no limit to compare with: cost per replica, backlog, room.
OWN_SHARE = 0.10
# Calls per task are the ratio of two rates that are counted apart: at 500 a minute each, two
# standard deviations of it are 13%. Workers that begin to retry at least double it.
CALLS_SHARE = 0.25
# Confidence grows by itself while a pool learns: a person cares for a guess, a first and a sure
# figure.
CONFIDENCE_STEP_PERCENT = 25

LLM_RATES = (
    "used_tokens_per_minute",
    "own_tokens_per_minute",
    "others_tokens_per_minute",
    "headroom_tokens_per_minute",
)
RATE_CEILINGS = ("tokens", "requests")
WHOLE_PERCENT = 100
LLM_FIGURES = ("tokens_per_replica_minute", "requests_per_minute_used", "rate_limited_per_minute")


def is_news(previous: PoolStatus, current: PoolStatus) -> bool:
    """Tell whether the status shows something else than the one before, noise aside.

    Noise is a figure that moved a little, and words that only repeat such a figure.
    """
    return _gist(current, previous) != _gist(previous, previous)


def _gist(status: PoolStatus, reference: PoolStatus) -> PoolStatus:
    """Return the status with what is noise against `reference` taken from it."""
    kept_backlog = _near(status.backlog, reference.backlog, OWN_SHARE)
    return status.model_copy(
        update={
            "backlog": reference.backlog if kept_backlog else status.backlog,
            "queues": tuple(queue.name for queue in status.queues),
            "memory": _memory_gist(status.memory, reference.memory),
            "llm": _llm_gist(status.llm, reference.llm),
            "ceilings": _ceilings_gist(status.ceilings, reference.ceilings),
            # What the demand asks for follows the backlog; each step begins where the last ended.
            "steps": tuple(
                (step.step, None if kept_backlog and step.step == "demand" else step.after)
                for step in status.steps
            ),
            "conditions": tuple(map(_condition_gist, status.conditions)),
            "checkpoint": status.checkpoint
            and status.checkpoint.model_copy(
                update={
                    "tokens_per_replica_minute": None,
                    "learned_seconds": None,
                    "others_tokens_per_minute": None,
                    "others_at": None,
                    "working_set_bytes": None,
                }
            ),
        }
    )


def _ceilings_gist(
    status: CeilingsStatus | None, reference: CeilingsStatus | None
) -> CeilingsStatus | None:
    """Take a ceiling that a noisy rate moves to and fro by one replica for the same.

    And room for many that shrinks or grows by some: pods of others come and go all the time.
    """
    if status is None or reference is None:
        return status
    kept: dict[str, object] = {}
    for name in RATE_CEILINGS:
        new, old = getattr(status, name), getattr(reference, name)
        if new is not None and old is not None and abs(new - old) <= 1:
            kept[name] = old
    if _near(status.memory, reference.memory, OWN_SHARE):
        kept["memory"] = reference.memory
    return status.model_copy(update=kept)


def _memory_gist(
    status: MemoryStatus | None, reference: MemoryStatus | None
) -> tuple[str, int | None] | None:
    if status is None:
        return None
    fits = status.fits
    if reference is not None and _near(fits, reference.fits, OWN_SHARE):
        fits = reference.fits
    return status.per_replica_source, fits


def _llm_gist(status: LlmStatus | None, reference: LlmStatus | None) -> LlmStatus | None:
    if status is None or reference is None:
        return status
    limit = status.limit_tokens_per_minute or 0
    confidence = status.tokens_per_replica_confidence_percent
    kept: dict[str, object] = {
        "observed_at": None,
        "headroom_percent": None,
        "tokens_per_replica_confidence_percent": confidence
        and confidence // CONFIDENCE_STEP_PERCENT,
        "refusals": _refusals_gist(status.refusals, reference.refusals),
        "budget": _budget_gist(status.budget, reference.budget, limit),
        # An answer has a few words more or less each time; a probe that is set anew is a new spec.
        "probe_tokens_per_minute": status.probe_tokens_per_minute is not None,
        # Each is read anew all the time; who tells it is what counts.
        "figures": tuple((figure.name, figure.source) for figure in status.figures),
    }
    for name in LLM_RATES:
        kept[name] = _rate(getattr(status, name), getattr(reference, name), limit)
    used, zones = reference.used_tokens_per_minute, (status.zone, reference.zone)
    if kept.get("used_tokens_per_minute", used) == used and Zone.EXCEEDED not in zones:
        kept["zone"] = reference.zone
    for name in LLM_FIGURES:
        if _near(getattr(status, name), getattr(reference, name), OWN_SHARE):
            kept[name] = getattr(reference, name)
    backoffs = (status.backoff_percent, reference.backoff_percent)
    if _near(*backoffs, OWN_SHARE) and WHOLE_PERCENT not in backoffs:
        # It comes back little by little; that it is all back is news.
        kept["backoff_percent"] = reference.backoff_percent
    if _near(status.calls_per_task, reference.calls_per_task, CALLS_SHARE):
        kept["calls_per_task"] = reference.calls_per_task
    return status.model_copy(update=kept)


def _refusals_gist(
    status: tuple[RefusalStatus, ...], reference: tuple[RefusalStatus, ...]
) -> tuple[tuple[str, int | None], ...]:
    before = {one.code: one.per_minute for one in reference}
    return tuple(
        (
            one.code,
            before[one.code]
            if _near(one.per_minute, before.get(one.code), OWN_SHARE)
            else one.per_minute,
        )
        for one in status
    )


def _budget_gist(
    status: BudgetStatus | None, reference: BudgetStatus | None, limit: int
) -> BudgetStatus | None:
    """Compare the parts of a shared limit by claimant."""
    if status is None or reference is None:
        return status
    before = {one.pool: one for one in reference.others}
    return status.model_copy(
        update={
            "tokens_per_minute": _rate(
                status.tokens_per_minute, reference.tokens_per_minute, limit
            ),
            **_part_gist(status, reference, limit),
            "others": tuple(
                one.model_copy(update=_part_gist(one, before[one.pool], limit))
                if one.pool in before
                else one
                for one in status.others
            ),
        }
    )


def _part_gist(
    status: BudgetStatus | ClaimantStatus, reference: BudgetStatus | ClaimantStatus, limit: int
) -> dict[str, object]:
    """Take a claim, which may be many times the limit, for the same by its own value as well."""
    claim, claimed = status.claim_tokens_per_minute, reference.claim_tokens_per_minute
    grant, granted = status.grant_tokens_per_minute, reference.grant_tokens_per_minute
    return {
        "claim_tokens_per_minute": claimed
        if _near(claim, claimed, OWN_SHARE)
        else _rate(claim, claimed, limit),
        "grant_tokens_per_minute": _rate(grant, granted, limit),
    }


def _rate(new: int | None, old: int | None, limit: int) -> int | None:
    """Return a rate's old value, if the new one is as good as that beside the limit."""
    if new is None or old is None or abs(new - old) > RATE_SHARE * limit:
        return new
    return old


def _near(new: float | None, old: float | None, share: float) -> bool:
    if new is None or old is None:
        return new is old
    return abs(new - old) <= share * abs(old)


def _condition_gist(condition: Condition) -> Condition:
    """Leave out the message of the condition that repeats the ladder's figures."""
    if condition.type is not ConditionType.SCALING_LIMITED:
        return condition
    return condition.model_copy(update={"message": ""})
