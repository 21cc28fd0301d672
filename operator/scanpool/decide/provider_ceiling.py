"""The ceilings of one of the provider's limits, in all its units, beside the pools of the key."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from scanpool.decide import backoff, cost, day, key_sharing, limits, ramp, watermarks
from scanpool.decide.cost import Cost, CostSource
from scanpool.decide.day import Left
from scanpool.decide.decision import Ceiling, LlmDecision
from scanpool.decide.key_sharing import OnKeys, Shares
from scanpool.decide.limit_ceiling import (
    Terms,
    by_day,
    by_level,
    by_rate,
    ceiling,
    need,
    unknown,
    without_growth,
)
from scanpool.decide.limits import SPEC, TOKEN_UNITS, Limit
from scanpool.decide.llm_signals import LlmSignals
from scanpool.decide.memory import LlmMemory
from scanpool.decide.sharing import Entitlement
from scanpool.decide.signals import Signals
from scanpool.decide.watermarks import NO_LEVEL, Level, Replica
from scanpool.models.claims import DAY_UNITS, Claim, Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY, Llm
from scanpool.models.spec import PoolSpec

ALL_TOKENS = (*TOKEN_UNITS, Unit.TOKENS_A_DAY)
ALL_REQUESTS = (Unit.REQUESTS, Unit.REQUESTS_A_DAY)
NO_LIMIT = Ceiling(None, None, "the TPM limit is unknown")
FIRST_REPLICA = Ceiling(1, 1, "no use of the key is measured until one replica calls the provider")


def measure(
    spec: PoolSpec, signals: Signals, memory: LlmMemory, claim: Claim, peers: OnKeys
) -> LlmDecision | None:
    """Return what the pool's only limit makes of it, beside the claims of the pools on its keys.

    None where it has none.
    """
    llm, seen, current = spec.llm, signals.llm, signals.workers.replicas
    if llm is None or seen is None:
        return None
    basis = _basis(spec, llm, seen, memory, signals.now)
    terms = _terms(llm, seen, memory, basis, signals.now)
    shown = _shown(signals, seen)
    needs = {
        unit: found
        for unit in terms
        if (found := need(unit, seen.use, basis.cost, terms[unit], shown)) is not None
    }
    claim = replace(
        claim,
        needs=needs,
        is_idle=basis.level.decides and _is_idle(signals),
        is_busy=_is_busy(signals),
    )
    shares = _shares(seen, tuple(terms))
    entitlements = {unit: key_sharing.entitlement(unit, claim, peers, shares) for unit in terms}
    ceilings = {}
    for unit in terms:
        if (entitled := entitlements[unit]) is not None:
            ceilings[unit] = ceiling(unit, needs[unit], entitled, terms[unit])
        elif unit is Unit.TOKENS or (unit in ALL_TOKENS and basis.cost.of(unit) != 0):
            ceilings[unit] = unknown(unit, seen.use, current)
    binding = smallest(ceilings, ALL_TOKENS)
    tokens = NO_LIMIT if binding is None else ceilings[binding]
    if seen.awaits_first_call and current == 0:
        tokens = FIRST_REPLICA
    if memory.backoff.stops_growth(signals.now):
        tokens = without_growth(tokens, current)
    named = {LimitedBy.TOKENS: tokens}
    if (of_requests := smallest(ceilings, ALL_REQUESTS)) is not None:
        named[LimitedBy.REQUESTS] = ceilings[of_requests]
    return LlmDecision(
        named,
        basis.limits,
        basis.cost,
        basis.factor,
        memory.backoff.at,
        claim,
        basis.level,
        binding,
        _tightest(entitlements),
        basis.days,
        shares=shares,
        keys=memory.keys,
    )


def _shares(seen: LlmSignals, units: tuple[Unit, ...]) -> Shares:
    """Return the share of the limit in each unit that each key is."""
    if not seen.keys:
        return {ONLY: dict.fromkeys(units, key_sharing.WHOLE)}
    by_unit = {unit: seen.shares(unit) for unit in units}
    names = dict.fromkeys(name for shares in by_unit.values() for name in shares)
    return {
        name: {unit: shares[name] for unit, shares in by_unit.items() if name in shares}
        for name in names
    }


def _shown(signals: Signals, seen: LlmSignals) -> int | None:
    """Return the replicas whose use shows.

    None where it is not told, or where they have not all been ready for as long as that takes.
    """
    since = signals.workers.steady_since
    if since is None or signals.now - since < seen.hold_seconds or not seen.use.own_is_told:
        return None
    return signals.workers.replicas


def _is_idle(signals: Signals) -> bool:
    """Tell whether the pool has nothing to do, as far as a source shows all that it has."""
    backlog = signals.backlog
    if backlog is None or any(queue.unacked is None for queue in backlog.queues):
        return False
    return not any(queue.ready or queue.unacked for queue in backlog.queues)


def _is_busy(signals: Signals) -> bool:
    """Tell whether a message waits for each replica, as far as is known."""
    backlog = signals.backlog
    return backlog is None or backlog.ready >= max(signals.workers.ready, 1)


class _Basis(NamedTuple):
    """What the terms of all limits rest on: `factor` is that of the back-off."""

    limits: Mapping[Unit, Limit]
    cost: Cost
    factor: float
    level: Level
    days: Mapping[Unit, Left]


def _basis(spec: PoolSpec, llm: Llm, seen: LlmSignals, memory: LlmMemory, now: float) -> _Basis:
    in_force = limits.in_force(memory.limits, llm)
    per_replica = cost.cost(memory.cost, llm, spec.rabbitmq.queues, seen.use.own)
    level = NO_LEVEL
    if (of_tokens := in_force.get(limits.of_level(memory.limits))) is not None:
        reserve = llm.bucket_reserve_percent
        level = watermarks.level(seen.bucket, of_tokens, reserve, seen.start_seconds, now)
    beside = seen.bucket.per_replica
    if level.decides and beside not in (None, per_replica.tokens):
        # What this tick has learned is not yet in what the level tells of others.
        per_replica = replace(per_replica, tokens=beside)
    factor = backoff.in_force(memory.backoff, seen.hold_seconds, now)
    return _Basis(in_force, per_replica, factor, level, day.left(memory.days, in_force))


def _terms(
    llm: Llm, seen: LlmSignals, memory: LlmMemory, basis: _Basis, now: float
) -> dict[Unit, Terms]:
    """Return the terms of each limit. The bucket is about tokens, the ramp about all of them."""
    percent, leveled = llm.target_utilization_percent, dict[Unit, Terms]()
    if basis.level.decides:
        is_settled = now - seen.bucket.changed_at >= watermarks.SETTLE_SECONDS
        whole = basis.limits[limits.of_level(memory.limits)].value
        leveled = _by_level(basis, whole, is_settled=is_settled)
    terms = {
        unit: leveled.get(unit) or by_rate(limit.value, percent, basis.factor, unit)
        for unit, limit in basis.limits.items()
        if unit not in DAY_UNITS
    }
    for unit, left in basis.days.items():
        limit = basis.limits[unit].value
        terms[unit] = by_day(limit, left, percent, basis.factor, unit, now)
    if llm.ramp is not None and Unit.TOKENS in terms:
        most = ramp.most(memory.uses, llm.ramp)
        terms[Unit.TOKENS] = terms[Unit.TOKENS]._replace(most=most)
    return terms


def _by_level(basis: _Basis, whole: int, *, is_settled: bool) -> dict[Unit, Terms]:
    """Return the terms of the limits on tokens whose bucket the level tells: that of `whole`.

    A limit that the spec sets below the provider's has none.
    """
    tokens, is_learned = basis.cost.tokens, basis.cost.source is CostSource.LEARNED
    found = {}
    for unit in TOKEN_UNITS:
        limit, per_replica = basis.limits.get(unit), basis.cost.of(unit)
        if tokens and per_replica and limit is not None and limit.source != SPEC:
            level = basis.level.of_part(limit.value / whole, per_replica / tokens)
            replica = Replica(per_replica, is_learned, is_settled)
            found[unit] = by_level(limit.value, level, replica, basis.factor, unit)
    return found


def smallest(ceilings: Mapping[Unit, Ceiling], units: tuple[Unit, ...]) -> Unit | None:
    """Return the unit whose ceiling binds among some; one that is unknown binds first."""

    def allowed(unit: Unit) -> int:
        replicas = ceilings[unit].replicas
        return -1 if replicas is None else replicas

    return min((unit for unit in units if unit in ceilings), key=allowed, default=None)


def _tightest(found: Mapping[Unit, Entitlement | None]) -> Entitlement | None:
    """Return how the limit on tokens that binds is shared: of all, of input or of output."""
    known = [one for unit in ALL_TOKENS if (one := found.get(unit)) is not None]
    return min(known, key=lambda one: one.fits, default=None)
