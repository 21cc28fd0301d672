"""Whether a new status is worth a write: a steady pool must cost the API server nothing."""

from scanpool.models.conditions import Condition, ConditionType
from scanpool.models.decision import Zone
from scanpool.models.status import CeilingsStatus, LlmStatus, MemoryStatus, PoolStatus

# A rate that moved by less than this share of the limit moves nobody to act.
RATE_SHARE = 0.02
# Of its own value, where there is no limit to compare with: cost per replica, backlog, room.
OWN_SHARE = 0.10

LLM_RATES = (
    "used_tokens_per_minute",
    "own_tokens_per_minute",
    "others_tokens_per_minute",
    "headroom_tokens_per_minute",
)
RATE_CEILINGS = ("tokens", "requests")
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
                update={"tokens_per_replica_minute": None, "working_set_bytes": None}
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
    limit = status.limit_tokens_per_minute
    kept: dict[str, object] = {"observed_at": None, "headroom_percent": None}
    for name in LLM_RATES:
        new, old = getattr(status, name), getattr(reference, name)
        if new is not None and old is not None and limit:
            kept[name] = old if abs(new - old) <= RATE_SHARE * limit else new
    used, zones = reference.used_tokens_per_minute, (status.zone, reference.zone)
    if kept.get("used_tokens_per_minute", used) == used and Zone.EXCEEDED not in zones:
        kept["zone"] = reference.zone
    for name in LLM_FIGURES:
        if _near(getattr(status, name), getattr(reference, name), OWN_SHARE):
            kept[name] = getattr(reference, name)
    return status.model_copy(update=kept)


def _near(new: int | None, old: int | None, share: float) -> bool:
    if new is None or old is None:
        return new is old
    return abs(new - old) <= share * abs(old)


def _condition_gist(condition: Condition) -> Condition:
    """Leave out the message of the condition that repeats the ladder's figures."""
    if condition.type is not ConditionType.SCALING_LIMITED:
        return condition
    return condition.model_copy(update={"message": ""})
