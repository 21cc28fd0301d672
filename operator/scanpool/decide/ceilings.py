"""All ceilings of one tick, with the numbers behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from scanpool.decide import budget, cost, feedback, gaps, limits, ramp, report, room, tokens, use
from scanpool.decide.budget import Entitlement
from scanpool.decide.limits import TOKEN_UNITS
from scanpool.models.budget import Claim, Unit
from scanpool.models.decision import Ceiling, LimitedBy, MemoryReport, TokenReport
from scanpool.models.llm import Llm
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation
from scanpool.models.spec import Mode, PoolSpec

NO_LIMIT = Ceiling(None, None, "the TPM limit is unknown")


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings that apply to a pool, with their reports and the pool's claim on them."""

    tokens: Ceiling | None = None
    requests: Ceiling | None = None
    memory: Ceiling | None = None
    token_report: TokenReport | None = None
    memory_report: MemoryReport | None = None
    claim: Claim | None = None

    def named(self) -> tuple[tuple[LimitedBy, Ceiling], ...]:
        """Return the ceilings that apply, in the order in which they are reported."""
        pairs = (
            (LimitedBy.TOKENS, self.tokens),
            (LimitedBy.REQUESTS, self.requests),
            (LimitedBy.MEMORY, self.memory),
        )
        return tuple((name, one) for name, one in pairs if one is not None)


def measure(
    spec: PoolSpec, observation: Observation, memory: Memory, wanted: int, now: float
) -> Ceilings:
    """Return the ceilings that the spec asks for, as this tick's readings and the memory say.

    `wanted` are the replicas that the pool would have without them.
    """
    found = Ceilings()
    current = observation.target.replicas
    if spec.memory.enabled and (pair := room.memory_ceiling(spec.memory, observation, memory, now)):
        found = replace(found, memory=pair[0], memory_report=pair[1])
        wanted = min(wanted, pair[0].allows(current))
    if spec.llm is None:
        return found
    claim = Claim(
        pool=observation.pool,
        weight=spec.llm.weight,
        floor=spec.min_replicas,
        # A pool that only observes takes no more than it has.
        wanted=wanted if spec.mode is Mode.ENFORCE else current,
        held=current,
        needs={},
    )
    return _with_provider(spec.llm, spec, observation, memory, claim, now, found)


def _with_provider(
    llm: Llm,
    spec: PoolSpec,
    observation: Observation,
    memory: Memory,
    claim: Claim,
    now: float,
    found: Ceilings,
) -> Ceilings:
    queues, current = spec.rabbitmq.queues, observation.target.replicas
    used = use.measure(queues, observation, memory, now)
    per_replica = cost.cost(memory, llm, queues, used.own)
    in_force = limits.in_force(llm, memory)
    hold = feedback.hold_seconds(llm.usage.window_seconds, observation, now)
    factor = feedback.backoff_factor(memory, hold, now)

    bursts = {Unit.TOKENS: tokens.burst(llm, observation, in_force.get(Unit.TOKENS), now)}
    most = {} if llm.ramp is None else {Unit.TOKENS: ramp.most(llm.ramp, memory)}
    target = llm.target_utilization_percent
    needs = {
        unit: tokens.need(
            unit, limit, used, per_replica, target, factor,
            bursts.get(unit, 0.0), most.get(unit, inf),
        )
        for unit, limit in in_force.items()
    }  # fmt: skip
    claim = replace(claim, needs={unit: one for unit, one in needs.items() if one is not None})
    shares = {unit: budget.entitlement(unit, claim, observation.peers) for unit in in_force}
    ceilings = {}
    for unit, limit in in_force.items():
        if (entitled := shares[unit]) is not None:
            ceilings[unit] = tokens.ceiling(
                unit, limit, claim.needs[unit], entitled, target, bursts.get(unit, 0.0)
            )
        elif unit is Unit.TOKENS or (unit in TOKEN_UNITS and per_replica.of(unit) != 0):
            ceilings[unit] = tokens.unknown(unit, used, current)

    by_tokens = tokens.smallest(ceilings, TOKEN_UNITS) or NO_LIMIT
    if gaps.awaits_first_call(observation):
        by_tokens = tokens.first_replica()
    if feedback.growth_stopped(memory, now):
        by_tokens = feedback.without_growth(by_tokens, current)
    return replace(
        found,
        tokens=by_tokens,
        requests=ceilings.get(Unit.REQUESTS),
        claim=claim,
        token_report=report.of(
            llm,
            queues,
            observation,
            memory,
            in_force,
            used,
            per_replica,
            factor,
            _tightest(shares),
        ),
    )


def _tightest(shares: Mapping[Unit, Entitlement | None]) -> Entitlement | None:
    """Return how the limit on tokens that binds is shared: of all, of input or of output."""
    known = [one for unit in TOKEN_UNITS if (one := shares.get(unit)) is not None]
    return min(known, key=lambda one: one.fits, default=None)
