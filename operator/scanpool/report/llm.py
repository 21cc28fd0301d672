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
from scanpool.models.figures import figures
from scanpool.models.llm import ONLY
from scanpool.models.units import SECONDS_PER_MINUTE, WHOLE_PERCENT, timestamp
from scanpool.report.pool_status import FigureStatus, KeyStatus, LimitStatus, LlmStatus
from scanpool.report.zone import Zone, zone


class Told(NamedTuple):
    """A value, who told it, and when; what the spec says has no time and needs none."""

    value: object
    source: str | None = None
    at: float | None = None


def of_tick(decision: Decision, signals: Signals) -> LlmStatus | None:
    """Return what the status says of the provider's limit; None for a pool without one."""
    found, seen = decision.llm, signals.llm
    if found is None or seen is None:
        return None
    quota, ends = decision.breaker and decision.breaker.state, None
    if decision.breaker is not None and decision.breaker.until is not None:
        ends = timestamp(decision.breaker.until)
    told = (
        _told(found, seen)
        | _bucket(found, seen)
        | _days(found, seen)
        | {
            "quota": Told(quota, seen.probed.source, seen.probed.at),
            "quota_ends_at": Told(ends),
            "probe_tokens_per_minute": Told(_probing(decision, seen)),
            "by_key": Told(_keys(found, seen)),
        }
    )
    sourced = [(figure.label, told[name]) for name, figure in figures(LlmStatus) if name in told]
    return LlmStatus.model_validate(
        {
            **{name: one.value for name, one in told.items()},
            "figures": tuple(
                FigureStatus(name=label, source=one.source, at=timestamp(one.at))
                for label, one in sourced
                if one.source and one.at is not None
            ),
            "observed_at": timestamp(signals.now),
        }
    )


def of_each(decision: Decision, signals: Signals) -> tuple[LimitStatus, ...] | None:
    """Return what the status says of each of several limits; None for a pool with one or none."""
    if decision.llms.keys() <= {ONLY}:
        return None
    return tuple(
        LimitStatus.model_validate({**dict(one), "name": name, "ceilings": shown_ceilings(made)})
        for name, made in decision.llms.items()
        if (one := of_tick(decision.only(name), signals.only(name))) is not None
    )


def shown_ceilings(made: Decision | LlmDecision) -> dict[str, int]:
    """Return the ceilings that are known, in replicas, by what they are on."""
    return {
        limit.lower(): ceiling.replicas
        for limit, ceiling in made.ceilings.items()
        if ceiling.replicas is not None
    }


def _bucket(found: LlmDecision, seen: LlmSignals) -> dict[str, Told]:
    """Return the figures of the provider's bucket; without a level its state says why."""
    level = found.level
    return {
        "bucket_state": Told(level.state),
        "bucket_tokens": Told(level.tokens, seen.probed.source, level.at),
        "bucket_low_tokens": Told(level.low),
        "bucket_high_tokens": Told(level.high),
        "bucket_reserve_tokens": Told(level.reserve),
    }


def _days(found: LlmDecision, seen: LlmSignals) -> dict[str, Told]:
    """Return the figures of limits of a day; the day that is told is the one that ends first."""
    told: dict[str, Told] = {}
    ends = min((one.ends_at for one in found.days.values()), default=None)
    for unit, name in ((Unit.TOKENS_A_DAY, "tokens"), (Unit.REQUESTS_A_DAY, "requests")):
        limit, left = found.limits.get(unit), found.days.get(unit)
        if limit is not None and left is not None:
            told[f"{name}_per_day_limit"] = Told(limit.value, limit.source, limit.at)
            source = seen.probed.source if unit in seen.probed.today else seen.use.source
            told[f"{name}_per_day_left"] = Told(int(left.amount), source, seen.use.at)
    return told | {"day_ends_at": Told(None if ends is None else timestamp(ends))}


def _keys(found: LlmDecision, seen: LlmSignals) -> tuple[KeyStatus, ...] | None:
    """Return what the status says of each of several keys, by its name; never the key."""
    return (
        tuple(
            KeyStatus(
                name=name,
                part_tokens_per_minute=_part(one),
                quota=None if name not in found.keys else found.keys[name].state,
                quota_code=None if name not in found.keys else found.keys[name].code,
            )
            for name, one in seen.keys.items()
        )
        or None
    )


def _part(one: KeySignals) -> int | None:
    """Return what a key adds to the limit on tokens: nothing while it does not count."""
    if one.part is None:
        return 0
    most = shown_limit({unit: Limit(value, PROBE) for unit, value in one.part.items()})
    return None if most is None else most.value


def _probing(decision: Decision, seen: LlmSignals) -> float | None:
    """Return what probing takes, in tokens per minute."""
    tokens, seconds = seen.probed.tokens, decision.next_probe_seconds
    return None if tokens is None or not seconds else tokens * SECONDS_PER_MINUTE / seconds


def _told(found: LlmDecision, seen: LlmSignals) -> dict[str, Told]:
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
        "limit_source": Told(limit.source),
        "used_tokens_per_minute": Told(use.whole.tokens, use.source, use.at),
        "used_source": Told(use.source),
        "own_tokens_per_minute": Told(use.own.tokens),
        "others_tokens_per_minute": others,
        "headroom_tokens_per_minute": Told(headroom),
        "headroom_percent": Told(percent),
        "zone": Told(_zone(found, seen)),
        "tokens_per_replica_minute": Told(cost.tokens, cost.source, cost.at),
        "tokens_per_replica_source": Told(cost.source),
        "backoff_percent": Told(round(WHOLE_PERCENT * found.factor), "429s", found.backoff_at),
        "requests_per_minute_limit": Told(_value(limits, Unit.REQUESTS)),
        "requests_per_minute_used": Told(use.whole.requests),
        "rate_limited_per_minute": Told(refused.per_minute, source_of_refused, refused.at),
        "tokens_per_replica_confidence_percent": Told(confidence),
        "binding_limit": Told(found.binding),
        "input_tokens_per_minute_limit": Told(_value(limits, Unit.INPUT_TOKENS)),
        "output_tokens_per_minute_limit": Told(_value(limits, Unit.OUTPUT_TOKENS)),
        "calls_per_task": calls,
        # Rounded up: what occurs is not to be shown as nothing.
        "refusals": Told(
            [{"code": one.code, "per_minute": ceil(one.per_minute)} for one in refused.by_code]
        ),
        "budget": Told(None if found.shared is None else _budget(found.shared)),
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


def _budget(shared: Entitlement) -> dict[str, Any] | None:
    """Return how the limit is shared; None for a pool that is alone on its key."""

    def parts(one: Share) -> dict[str, Any]:
        return {"claim_tokens_per_minute": one.claim, "grant_tokens_per_minute": one.grant}

    if not shared.others:
        return None
    others = [{"pool": one.pool, "weight": one.weight, **parts(one)} for one in shared.others]
    return {
        "tokens_per_minute": shared.total,
        **parts(shared.share),
        "others": others,
        "more_others": shared.more_others,
        "first_pool": shared.first_pool,
    }
