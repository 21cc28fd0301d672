"""The figures of a provider's limit for the status, each with who told it and when.

What a figure is stands in `report.pool_status`; here is what it is made of, a line each.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from scanpool.decide.decision import Decision, LlmDecision
from scanpool.decide.limits import PROBE, TOKEN_UNITS, Limit
from scanpool.decide.llm_signals import KeySignals, LlmSignals
from scanpool.decide.sharing import Entitlement
from scanpool.decide.signals import Signals
from scanpool.models.claims import Share, Unit
from scanpool.models.figures import figures, shown
from scanpool.models.llm import ONLY
from scanpool.models.units import SECONDS_PER_MINUTE, WHOLE_PERCENT, timestamp
from scanpool.report.pool_status import (
    BudgetStatus,
    ClaimantStatus,
    FigureStatus,
    KeyStatus,
    LimitStatus,
    LlmStatus,
    PoolStatus,
    RefusalStatus,
)
from scanpool.report.zone import Zone, zone


class Told(NamedTuple):
    """A value, who told it, and when; what the spec says has no time and needs none.

    A figure that nobody told, since it follows from others, stands by itself.
    """

    value: object
    source: str | None = None
    at: float | None = None


# Of a limit that the status before does not tell of.
NOTHING = LlmStatus()


def of_tick(
    decision: Decision, signals: Signals, previous: PoolStatus | None = None
) -> LlmStatus | None:
    """Return what the status says of the limit that binds; None for a pool without one.

    What it says as the status before did is the same object.
    """
    name = decision.tightest
    found, seen = decision.llms.get(name), signals.llms.get(name)
    if found is None or seen is None:
        return None
    return LlmStatus(**_values(found, seen, _before(previous, name), signals.now))


def of_each(
    decision: Decision, signals: Signals, previous: PoolStatus
) -> tuple[LimitStatus, ...] | None:
    """Return what the status says of each of several limits; None for a pool with one or none."""
    if decision.llms.keys() <= {ONLY}:
        return None
    return tuple(
        LimitStatus(
            **_values(found, seen, _before(previous, name), signals.now),
            name=name,
            ceilings=shown_ceilings(found),
        )
        for name, found in decision.llms.items()
        if (seen := signals.llms.get(name)) is not None
    )


def _before(previous: PoolStatus | None, name: str) -> LlmStatus:
    """Return what the status before says of a limit."""
    if previous is None:
        return NOTHING
    if name == ONLY:
        return previous.llm or NOTHING
    return next((one for one in previous.llms or () if one.name == name), NOTHING)


def _values(found: LlmDecision, seen: LlmSignals, before: LlmStatus, now: float) -> dict[str, Any]:
    quota, ends = found.breaker and found.breaker.state, None
    if found.breaker is not None and found.breaker.until is not None:
        ends = timestamp(found.breaker.until)
    told: dict[str, object] = {
        **_told(found, seen),
        **_bucket(found, seen),
        **_days(found, seen),
        "quota": Told(quota, seen.probed.source, seen.probed.at),
        "quota_ends_at": ends,
        "probe_tokens_per_minute": _probing(found, seen),
        "refusals": _refusals(seen, before),
        "budget": None if found.shared is None else _budget(found.shared, before.budget),
        "by_key": _keys(found, seen, before),
    }
    sources = (
        {"name": figure.label, "source": one.source, "at": timestamp(one.at)}
        for name, figure in figures(LlmStatus)
        if isinstance(one := told.get(name), Told) and one.source and one.at is not None
    )
    return {
        **{name: one.value if isinstance(one, Told) else one for name, one in told.items()},
        "figures": FigureStatus.each_renewed(before.figures, sources),
        "observed_at": timestamp(now),
    }


def shown_ceilings(made: Decision | LlmDecision) -> dict[str, int]:
    """Return the ceilings that are known, in replicas, by what they are on."""
    return {
        limit.lower(): ceiling.replicas
        for limit, ceiling in made.ceilings.items()
        if ceiling.replicas is not None
    }


def _bucket(found: LlmDecision, seen: LlmSignals) -> dict[str, object]:
    """Return the figures of the provider's bucket; without a level its state says why."""
    level = found.level
    return {
        "bucket_state": level.state,
        "bucket_tokens": Told(level.tokens, seen.probed.source, level.at),
        "bucket_low_tokens": level.low,
        "bucket_high_tokens": level.high,
        "bucket_reserve_tokens": level.reserve,
    }


def _days(found: LlmDecision, seen: LlmSignals) -> dict[str, object]:
    """Return the figures of limits of a day; the day that is told is the one that ends first."""
    told: dict[str, object] = {}
    ends = min((one.ends_at for one in found.days.values()), default=None)
    for unit, name in ((Unit.TOKENS_A_DAY, "tokens"), (Unit.REQUESTS_A_DAY, "requests")):
        limit, left = found.limits.get(unit), found.days.get(unit)
        if limit is not None and left is not None:
            told[f"{name}_per_day_limit"] = Told(limit.value, limit.source, limit.at)
            source = seen.probed.source if unit in seen.probed.today else seen.use.source
            told[f"{name}_per_day_left"] = Told(int(left.amount), source, seen.use.at)
    return told | {"day_ends_at": None if ends is None else timestamp(ends)}


def _keys(found: LlmDecision, seen: LlmSignals, before: LlmStatus) -> tuple[KeyStatus, ...] | None:
    """Return what the status says of each of several keys, by its name; never the key."""
    told = (
        {
            "name": name,
            "part_tokens_per_minute": _part(one),
            "quota": None if name not in found.keys else found.keys[name].state,
            "quota_code": None if name not in found.keys else found.keys[name].code,
        }
        for name, one in seen.keys.items()
    )
    return KeyStatus.each_renewed(before.by_key or (), told) or None


def _part(one: KeySignals) -> int | None:
    """Return what a key adds to the limit on tokens: nothing while it does not count."""
    if one.part is None:
        return 0
    most = shown_limit({unit: Limit(value, PROBE) for unit, value in one.part.items()})
    return None if most is None else most.value


def _refusals(seen: LlmSignals, before: LlmStatus) -> tuple[RefusalStatus, ...]:
    """Return the refused calls by code, rounded up: what occurs is not to be shown as nothing."""
    told = (
        {"code": one.code, "per_minute": shown(ceil(one.per_minute))}
        for one in seen.refused.by_code
    )
    return RefusalStatus.each_renewed(before.refusals, told)


def _probing(found: LlmDecision, seen: LlmSignals) -> float | None:
    """Return what probing takes, in tokens per minute."""
    tokens, seconds = seen.probed.tokens, found.next_probe_seconds
    return None if tokens is None or not seconds else tokens * SECONDS_PER_MINUTE / seconds


def _told(found: LlmDecision, seen: LlmSignals) -> dict[str, object]:
    """Return the figures by field."""
    limits, use, cost, refused = found.limits, seen.use, found.cost, seen.refused
    most, ratio = shown_limit(limits), seen.calls_per_task
    limit = Told(None) if most is None else Told(most.value, most.source, most.at)
    headroom = percent = None
    used = use.whole.tokens if _are_all_limited(limits) else use.whole.of(Unit.INPUT_TOKENS)
    if most is not None and used is not None:
        headroom = most.value - used
        percent = round(WHOLE_PERCENT * headroom / most.value) if most.value else None
    others = Told(use.others.tokens, use.source, use.at) if use.others_are_told else Told(None)
    calls = Told(None) if ratio is None else Told(round(ratio.value, 1), ratio.source, ratio.at)
    source_of_refused = None if refused.per_minute is None else refused.source
    confidence = None if cost.tokens is None else round(WHOLE_PERCENT * cost.confidence)
    return {
        "limit_tokens_per_minute": limit,
        "limit_source": limit.source,
        "used_tokens_per_minute": Told(use.whole.tokens, use.source, use.at),
        "used_source": use.source,
        "own_tokens_per_minute": use.own.tokens,
        "others_tokens_per_minute": others,
        "headroom_tokens_per_minute": headroom,
        "headroom_percent": percent,
        "zone": _zone(found, seen),
        "tokens_per_replica_minute": Told(cost.tokens, cost.source, cost.at),
        "tokens_per_replica_source": cost.source,
        "backoff_percent": Told(round(WHOLE_PERCENT * found.factor), "429s", found.backoff_at),
        "requests_per_minute_limit": _value(limits, Unit.REQUESTS),
        "requests_per_minute_used": use.whole.requests,
        "rate_limited_per_minute": Told(refused.per_minute, source_of_refused, refused.at),
        "tokens_per_replica_confidence_percent": confidence,
        "binding_limit": found.binding,
        "input_tokens_per_minute_limit": _value(limits, Unit.INPUT_TOKENS),
        "output_tokens_per_minute_limit": _value(limits, Unit.OUTPUT_TOKENS),
        "calls_per_task": calls,
    }


def shown_limit(limits: Mapping[Unit, Limit]) -> Limit | None:
    """Return the limit on tokens: on all, else on input and output together, else on either."""
    if Unit.TOKENS in limits:
        return limits[Unit.TOKENS]
    apart = [limits[unit] for unit in (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS) if unit in limits]
    if not apart:
        return None
    return Limit(sum(one.value for one in apart), apart[0].source, apart[0].at)


def _are_all_limited(limits: Mapping[Unit, Limit]) -> bool:
    """Return whether output counts against any limit; of Gemini only input does."""
    return Unit.TOKENS in limits or Unit.OUTPUT_TOKENS in limits


def _value(limits: Mapping[Unit, Limit], unit: Unit) -> int | None:
    return limits[unit].value if unit in limits else None


def _zone(found: LlmDecision, seen: LlmSignals) -> Zone | None:
    """Return the zone of the token limit that is used most; None if limit or use are unknown.

    Input and output count where they are told apart; else all tokens, with both limits together.
    """
    limits, whole = found.limits, seen.use.whole
    units = TOKEN_UNITS if whole.output_tokens is not None else (Unit.TOKENS,)
    known = [(limits[unit].value, whole.of(unit)) for unit in units if unit in limits]
    if not known and (limit := shown_limit(limits)) is not None:
        known = [(limit.value, whole.tokens)]
    used = [(use / limit, limit, use) for limit, use in known if use is not None]
    if not used:
        return None
    _, most, of_it = max(used)
    refused = bool(seen.refused.per_minute) or seen.probed.rate_limited
    return zone(most, of_it, refused=refused)


def _budget(shared: Entitlement, before: BudgetStatus | None) -> BudgetStatus | None:
    """Return how the limit is shared; None for a pool that is alone on its key."""

    def parts(one: Share) -> dict[str, Any]:
        return {
            "claim_tokens_per_minute": shown(one.claim),
            "grant_tokens_per_minute": shown(one.grant),
        }

    if not shared.others:
        return None
    others = ({"pool": one.pool, "weight": one.weight, **parts(one)} for one in shared.others)
    told = {
        "tokens_per_minute": shown(shared.total),
        **parts(shared.share),
        "others": ClaimantStatus.each_renewed(() if before is None else before.others, others),
        "more_others": shared.more_others,
        "first_pool": shared.first_pool,
    }
    return BudgetStatus.renewed(before, told)
