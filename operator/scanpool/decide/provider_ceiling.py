"""The ceilings of a provider: of all its limits together, beside the pools of the same key."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scanpool.decide import backoff, cost, limits, ramp, sharing
from scanpool.decide.decision import Ceiling, LlmDecision
from scanpool.decide.limit_ceiling import Terms, burst, ceiling, need, unknown, without_growth
from scanpool.decide.limits import TOKEN_UNITS
from scanpool.decide.memory import LlmMemory
from scanpool.decide.sharing import Entitlement
from scanpool.decide.signals import Signals
from scanpool.models.claims import Claim, Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.spec import PoolSpec

NO_LIMIT = Ceiling(None, None, "the TPM limit is unknown")
FIRST_REPLICA = Ceiling(1, 1, "no use of the key is measured until one replica calls the provider")


@dataclass(frozen=True, slots=True)
class Provided:
    """What the provider's limits make of a pool: the ceilings, by name, and how they came about."""

    ceilings: Mapping[LimitedBy, Ceiling]
    llm: LlmDecision


def measure(
    spec: PoolSpec, signals: Signals, memory: LlmMemory, claim: Claim, peers: tuple[Claim, ...]
) -> Provided | None:
    """Return the ceilings, beside the claims of the pools on the same key; None without an llm."""
    llm, seen, current = spec.llm, signals.llm, signals.workers.replicas
    if llm is None or seen is None:
        return None
    in_force = limits.in_force(memory.limits, llm)
    per_replica = cost.cost(memory.cost, llm, spec.rabbitmq.queues, seen.use.own)
    factor = backoff.in_force(memory.backoff, seen.hold_seconds, signals.now)
    usual = Terms(llm.target_utilization_percent, factor)
    # The bucket and the ramp are about all tokens.
    of_tokens = replace(
        usual,
        burst=burst(llm, seen.probed, in_force.get(Unit.TOKENS), signals.now),
        most=ramp.most(memory.uses, llm.ramp),
    )
    terms = {unit: of_tokens if unit is Unit.TOKENS else usual for unit in in_force}
    needs = {
        unit: found
        for unit, limit in in_force.items()
        if (found := need(unit, limit, seen.use, per_replica, terms[unit])) is not None
    }
    claim = replace(claim, needs=needs)
    shares = {unit: sharing.entitlement(unit, claim, peers) for unit in in_force}
    ceilings = {}
    for unit, limit in in_force.items():
        if (entitled := shares[unit]) is not None:
            ceilings[unit] = ceiling(unit, limit, needs[unit], entitled, terms[unit])
        elif unit is Unit.TOKENS or (unit in TOKEN_UNITS and per_replica.of(unit) != 0):
            ceilings[unit] = unknown(unit, seen.use, current)
    binding = smallest(ceilings, TOKEN_UNITS)
    tokens = NO_LIMIT if binding is None else ceilings[binding]
    if seen.awaits_first_call:
        tokens = FIRST_REPLICA
    if memory.backoff.stops_growth(signals.now):
        tokens = without_growth(tokens, current)
    named = {LimitedBy.TOKENS: tokens}
    if Unit.REQUESTS in ceilings:
        named[LimitedBy.REQUESTS] = ceilings[Unit.REQUESTS]
    shared = _tightest(shares)
    since = memory.backoff.at
    return Provided(
        named, LlmDecision(in_force, per_replica, factor, since, claim, binding, shared)
    )


def smallest(ceilings: Mapping[Unit, Ceiling], units: tuple[Unit, ...]) -> Unit | None:
    """Return the unit whose ceiling binds among some; one that is unknown binds first."""

    def allowed(unit: Unit) -> int:
        replicas = ceilings[unit].replicas
        return -1 if replicas is None else replicas

    return min((unit for unit in units if unit in ceilings), key=allowed, default=None)


def _tightest(shares: Mapping[Unit, Entitlement | None]) -> Entitlement | None:
    """Return how the limit on tokens that binds is shared: of all, of input or of output."""
    known = [one for unit in TOKEN_UNITS if (one := shares.get(unit)) is not None]
    return min(known, key=lambda one: one.fits, default=None)
