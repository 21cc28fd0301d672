"""One decision: the ladder from what the queues ask for to what the pool gets.

demand -> tolerance -> stabilization -> scaling policies -> [minReplicas, maxReplicas]
       -> ceilings: tokens, requests, memory -> minReplicas as the floor -> billing breaker

readings that the pool asks for    | breaker | outcome
all available                      | closed  | the ladder
one unavailable                    | closed  | hold: nothing changes
depth unavailable for too long     | closed  | fallback.replicas, if more and below the ceilings
first tick, nothing to compare with| closed  | hold: nothing changes
any                                | open    | as above, then onQuotaExhausted, if less
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scanpool.decide import behavior, gaps, quota, recall
from scanpool.decide.ceilings import Ceilings, measure
from scanpool.decide.demand import Demand, demand, within_tolerance
from scanpool.models.budget import Claim
from scanpool.models.decision import Decision, LimitedBy, Step
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import Observation
from scanpool.models.reading import Available
from scanpool.models.spec import Mode, PoolSpec


@dataclass(frozen=True, slots=True)
class _Rung:
    """What one rule makes of the replicas; `limits` names it where it may keep them from demand."""

    step: str
    replicas: int
    reason: str
    limits: LimitedBy = LimitedBy.NONE


def decide(
    spec: PoolSpec, observation: Observation, memory: Memory, now: float
) -> tuple[Decision, Memory]:
    """Decide how many replicas the pool should have, and what to remember for the next tick.

    `now` is in seconds since the epoch. The same arguments always give the same answer.
    """
    current = observation.target.replicas
    observation, memory = recall.before(spec, observation, memory, now)
    missing = gaps.find(spec, observation)
    wanted = _wanted(spec, observation)

    if missing or wanted is None or not memory.recommendations:
        asked = current
        ceilings = measure(spec, observation, memory, current, now)
        rungs = _hold(
            spec, tuple(dict.fromkeys(gap.message for gap in missing)), ceilings, memory, current
        )
        memory = recall.recommend(spec, memory, asked, now)
    else:
        near = within_tolerance(wanted, current, spec.behavior)
        asked = current if near else wanted.replicas
        memory = recall.recommend(spec, memory, asked, now)
        rungs = [*_ask(wanted, asked), *_pace(spec, memory, current, asked, now)]
        ceilings = measure(spec, observation, memory, rungs[-1].replicas, now)
        rungs += _below(spec, ceilings, current, rungs[-1].replicas)
    cap = _quota_cap(spec, memory, current, now)
    rungs += _breaker(spec, memory, cap, rungs[-1].replicas)

    decision = Decision(
        current=current,
        demand=None if wanted is None else wanted.replicas,
        desired=rungs[-1].replicas,
        limited_by=_limited_by(rungs, current, asked),
        steps=_steps(rungs, current),
        gaps=missing,
        quota=memory.quota,
        quota_code=memory.quota_code,
        quota_cap=cap,
        next_probe_seconds=quota.probe_age(spec.llm, memory)
        if spec.llm is not None and memory.quota is Quota.OPEN
        else None,
        provider_answered=isinstance(observation.provider, Available),
        first_expiry=quota.first_expiry(observation),
        token_ceiling=ceilings.tokens,
        request_ceiling=ceilings.requests,
        memory_ceiling=ceilings.memory,
        tokens=ceilings.token_report,
        memory=ceilings.memory_report,
        reverts=len(memory.reverted_at),
        claim=_claim(spec, ceilings, current, rungs[-1].replicas),
    )
    return decision, memory


def _wanted(spec: PoolSpec, observation: Observation) -> Demand | None:
    if not isinstance(observation.queues, Available):
        return None
    return demand(spec.rabbitmq.queues, {depth.name: depth for depth in observation.queues.value})


def _ask(wanted: Demand, asked: int) -> list[_Rung]:
    return [
        _Rung(
            "demand",
            wanted.replicas,
            f"queue {wanted.queue} has {wanted.messages:,} messages, "
            f"at {wanted.messages_per_replica:,} per replica",
        ),
        _Rung("tolerance", asked, "a deviation within the tolerance changes nothing"),
    ]


def _pace(spec: PoolSpec, memory: Memory, current: int, asked: int, now: float) -> list[_Rung]:
    """Take what is asked for through the pool's own rules."""
    stable = behavior.stabilize(memory.recommendations, current, asked, spec.behavior, now)
    paced = behavior.apply_policies(stable, current, spec.behavior, memory.scalings, now)
    bounded = min(max(paced, spec.min_replicas), spec.max_replicas)
    bound = LimitedBy.MIN_REPLICAS if bounded > paced else LimitedBy.MAX_REPLICAS
    return [
        _Rung(
            "stabilization",
            stable,
            f"the recommendations of the last {behavior.scale_up_window(spec.behavior)} s (up) "
            f"and {behavior.scale_down_window(spec.behavior)} s (down) agree on it",
            LimitedBy.STABILIZATION,
        ),
        _Rung(
            "policies",
            paced,
            "as far as the scaling policies let it go at once",
            LimitedBy.SCALING_POLICY,
        ),
        _Rung(
            "bounds",
            bounded,
            f"between minReplicas {spec.min_replicas} and maxReplicas {spec.max_replicas}",
            bound,
        ),
    ]


def _below(spec: PoolSpec, ceilings: Ceilings, current: int, replicas: int) -> list[_Rung]:
    """Take replicas below the ceilings, and not below the floor."""
    rungs = _capped(ceilings, current, replicas)
    capped = rungs[-1].replicas if rungs else replicas
    floor = max(capped, spec.min_replicas)
    return [*rungs, _Rung("floor", floor, "minReplicas holds even under a ceiling")]


def _capped(ceilings: Ceilings, current: int, replicas: int) -> list[_Rung]:
    rungs = []
    for name, ceiling in ceilings.named():
        replicas = min(replicas, ceiling.allows(current))
        rungs.append(_Rung(f"{name.lower()} ceiling", replicas, ceiling.reason, name))
    return rungs


def _hold(
    spec: PoolSpec, reasons: Sequence[str], ceilings: Ceilings, memory: Memory, current: int
) -> list[_Rung]:
    """Keep what is there; with a fallback and no depth for too long, have at least that."""
    because = "; ".join(reasons) or "the first look has nothing to compare with yet"
    hold = _Rung("hold", current, because, LimitedBy.HOLD)
    fallback = spec.fallback
    failures = memory.failed_depth_readings
    if fallback is None or not memory.recommendations or failures < fallback.failure_threshold:
        return [hold]
    rung = _Rung(
        "fallback",
        max(current, min(fallback.replicas, spec.max_replicas)),
        f"the depth of the queues has been unknown {failures} times in a row",
        LimitedBy.FALLBACK,
    )
    rungs = [hold, rung, *_capped(ceilings, current, rung.replicas)]
    kept = max(rungs[-1].replicas, current)
    return [*rungs, _Rung("floor", kept, "a reading that fails lowers nothing")]


def _quota_cap(spec: PoolSpec, memory: Memory, current: int, now: float) -> int | None:
    if spec.llm is None:
        return None
    return quota.cap(memory, spec.llm.on_quota_exhausted, current, spec.min_replicas, now)


def _breaker(spec: PoolSpec, memory: Memory, cap: int | None, replicas: int) -> list[_Rung]:
    if spec.llm is None or cap is None:
        return []
    reason = quota.reason(memory, spec.llm.on_quota_exhausted, spec.min_replicas)
    return [_Rung("billing breaker", min(replicas, cap), reason, LimitedBy.QUOTA)]


def _claim(spec: PoolSpec, ceilings: Ceilings, current: int, desired: int) -> Claim | None:
    """Return what the pool asks of the limits that it shares: it holds what it is about to have."""
    if ceilings.claim is None or spec.mode is not Mode.ENFORCE:
        return ceilings.claim
    return replace(ceilings.claim, held=max(current, desired))


def _steps(rungs: Sequence[_Rung], current: int) -> tuple[Step, ...]:
    befores = [current, *(rung.replicas for rung in rungs)]
    return tuple(
        Step(rung.step, before, rung.replicas, rung.reason)
        for before, rung in zip(befores, rungs, strict=False)
    )


def _limited_by(rungs: Sequence[_Rung], current: int, asked: int) -> LimitedBy:
    """Name the last rule that moved the replicas to the side of `asked` on which they end up."""
    off = rungs[-1].replicas - asked
    if off == 0:
        return rungs[0].limits
    befores = [current, *(rung.replicas for rung in rungs)]
    return [
        rung.limits
        for before, rung in zip(befores, rungs, strict=False)
        if (rung.replicas - before) * off > 0 and rung.limits is not LimitedBy.NONE
    ][-1]
