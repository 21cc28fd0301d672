"""The third stride: the ladder from what the queues ask for to what the pool gets.

demand -> tolerance -> stabilization -> scaling policies -> activation -> [minReplicas, maxReplicas]
       -> ceilings: tokens, requests, memory, workers, spend -> minReplicas as the floor
       -> billing breaker -> budget -> pause -> what someone else contests

readings that the pool asks for    | breaker | outcome
all available                      | closed  | the ladder
one unavailable                    | closed  | hold: nothing changes, but for the bounds, and what
                                   |         | the level of the bucket takes and gives back
of llm or memory, for too long     | closed  | the ladder, with their fallback as the ceiling
some of the queues unknown         | closed  | the ladder, and what is there is asked for at least
depth unavailable for too long     | closed  | the fallback as the demand, below the ceilings
first tick, nothing to compare with| closed  | hold: nothing changes, but for the bounds
any                                | open    | as above, then onQuotaExhausted, if less
any, with a day's budget used up   | any     | none
any, with an annotation that pauses| any     | what the pause leaves of the above
any, contested by someone else     | any     | what is there
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from scanpool.decide import (
    activation,
    behavior,
    ceilings,
    contest,
    fallback,
    pause,
    probing,
    served,
    spend,
)
from scanpool.decide.breaker import Verdict
from scanpool.decide.ceilings import Ceilings, Peers
from scanpool.decide.contest import Contest
from scanpool.decide.decision import Ceiling, Decision, Rung, Step, ceiling_rung
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Backlog, Signals
from scanpool.models.claims import Claim
from scanpool.models.conditions import LimitedBy
from scanpool.models.pause import NO_PAUSE, Pause, Paused
from scanpool.models.spec import Mode, PoolSpec

# A pod's usual time to drain is 30 s (terminationGracePeriodSeconds), and a pool looks every ten.
LATELY_SECONDS = 60.0
NEAR_ENOUGH = "a deviation within the tolerance changes nothing"


class _Rung(NamedTuple):
    """What one rule makes of the replicas; `limits` names it where it may keep them from demand."""

    step: str
    replicas: int
    reason: str
    limits: LimitedBy = LimitedBy.NONE


def decide(
    spec: PoolSpec, signals: Signals, memory: Memory, peers: Peers, paused: Pause = NO_PAUSE
) -> Decision:
    """Decide how many replicas the pool should have. The same arguments give the same answer."""
    current, backlog = signals.workers.replicas, signals.backlog
    rungs = [] if signals.holds or backlog is None else _climb(spec, signals, memory, backlog)
    wanted = rungs[-1].replicas if rungs else _bounds(spec, current).replicas
    contested = contest.judge(signals.rivals, memory.history.reverts)
    # What a pause, or someone else, keeps from the pool is for others on the key.
    may = partial(_left, paused, contested, signals)
    claimed = may(wanted)
    met = ceilings.measure(spec, signals, memory, peers, claimed)
    if rungs:
        rungs += _below(spec, met.by_limit, current, wanted)
    else:
        rungs = _hold(spec, signals, memory, met)
    verdicts = served.judge(spec, signals, memory.breakers)
    strictest, verdict = served.together(memory.served, spec, signals, verdicts) or (None, None)
    if verdict is not None:
        rungs += _breaker(verdict, rungs[-1].replicas)
    left = spend.budget(spec, memory.spent, current)
    if left is not None and left.has_ended:
        rungs.append(_Rung(Rung.BUDGET, 0, left.ended_words, LimitedBy.SPEND))
    rungs += _paused(paused, current, rungs[-1].replicas)
    rungs += _contested(contested, current, signals.now)
    probes = {
        name: min(probing.ages(one.probing, one.breaker, one.keys, llm).values())
        for name, llm in spec.limits.items()
        for one in [memory.of(name)]
    }
    held = max(current, rungs[-1].replicas)
    lately = may(_wanted_lately(spec, signals, memory, met, wanted))
    llms = {
        name: replace(
            one,
            claim=_holding(spec, one.claim, held, lately),
            breaker=verdicts[name],
            next_probe_seconds=probes[name],
        )
        for name, one in met.llms.items()
    }
    return Decision(
        current=current,
        demand=None if backlog is None else backlog.demand.replicas,
        desired=rungs[-1].replicas,
        limited_by=_limited_by(rungs, current, signals.asked),
        steps=_steps(rungs, current),
        ceilings=met.by_limit,
        contest=contested,
        restarts=memory.restarts,
        held=memory.held.longest,
        llms=llms,
        tightest=met.tightest,
        breaker=verdict,
        pause=paused,
        budget=left,
        next_probe_seconds=None if strictest is None else probes[strictest],
    )


def _climb(spec: PoolSpec, signals: Signals, memory: Memory, backlog: Backlog) -> list[_Rung]:
    """Return the rungs from what the queues ask for up to the bounds."""
    rungs = [*_ask(backlog, signals), *_pace(spec, signals, memory, signals.asked)]
    rungs += _activation(spec, signals, memory, rungs[-1].replicas)
    return [*rungs, _bounds(spec, rungs[-1].replicas)]


def _ask(backlog: Backlog, signals: Signals) -> list[_Rung]:
    wanted, asked = backlog.demand, signals.asked
    reasons = "; ".join(gap.message for gap in signals.unseen)
    why = f"nothing is taken away: {reasons}" if reasons else NEAR_ENOUGH
    return [
        _Rung(
            Rung.DEMAND,
            wanted.replicas,
            f"queue {wanted.queue} has {wanted.messages:,} messages, "
            f"at {wanted.messages_per_replica:,} per replica",
        ),
        _Rung(Rung.HOLD if reasons else Rung.TOLERANCE, asked, why),
    ]


def _pace(spec: PoolSpec, signals: Signals, memory: Memory, asked: int) -> list[_Rung]:
    """Take what is asked for through the pool's own rules."""
    current, past, rules = signals.workers.replicas, memory.history, spec.behavior
    stable = behavior.stabilize(past.recommendations, current, asked, rules, signals.now)
    paced = behavior.apply_policies(stable, current, rules, past.scalings, signals.now)
    return [
        _Rung(
            Rung.STABILIZATION,
            stable,
            f"the recommendations of the last {behavior.scale_up_window(rules)} s (up) "
            f"and {behavior.scale_down_window(rules)} s (down) agree on it",
            LimitedBy.STABILIZATION,
        ),
        _Rung(
            Rung.POLICIES,
            paced,
            "as far as the scaling policies let it go at once",
            LimitedBy.SCALING_POLICY,
        ),
    ]


def _activation(spec: PoolSpec, signals: Signals, memory: Memory, paced: int) -> list[_Rung]:
    found = activation.turn(spec, memory.activity, signals.workers.replicas, paced, signals.now)
    if found is None:
        return []
    return [_Rung(Rung.ACTIVATION, found.replicas, found.reason, LimitedBy.ACTIVATION)]


def _bounds(spec: PoolSpec, replicas: int) -> _Rung:
    bounded = min(max(replicas, spec.min_replicas), spec.max_replicas)
    return _Rung(
        Rung.BOUNDS,
        bounded,
        f"between minReplicas {spec.min_replicas} and maxReplicas {spec.max_replicas}",
        LimitedBy.MIN_REPLICAS if bounded > replicas else LimitedBy.MAX_REPLICAS,
    )


def _below(
    spec: PoolSpec, met: Mapping[LimitedBy, Ceiling], current: int, replicas: int
) -> list[_Rung]:
    """Take replicas below the ceilings, and not below the floor."""
    rungs = _capped(met, current, replicas)
    capped = rungs[-1].replicas if rungs else replicas
    floor = max(capped, spec.min_replicas)
    return [*rungs, _Rung(Rung.FLOOR, floor, "minReplicas holds even under a ceiling")]


def _capped(met: Mapping[LimitedBy, Ceiling], current: int, replicas: int) -> list[_Rung]:
    rungs = []
    for limit, ceiling in met.items():
        replicas = min(replicas, ceiling.allows(current))
        rungs.append(_Rung(ceiling_rung(limit), replicas, ceiling.reason, limit))
    return rungs


def _hold(spec: PoolSpec, signals: Signals, memory: Memory, met: Ceilings) -> list[_Rung]:
    """Keep what is there; with a fallback and no depth for too long, have what it says.

    A bucket that runs empty is known, whatever is not, and takes replicas all the same. One that is
    full again gives them back.

    Within the bounds, which the spec alone tells: minReplicas and maxReplicas hold whatever cannot
    be read, as the HPA's do.
    """
    current = signals.workers.replicas
    reasons = dict.fromkeys(gap.message for gap in signals.gaps)
    because = "; ".join(reasons) or "the first look has nothing to compare with yet"
    rungs = [_Rung(Rung.HOLD, current, because, LimitedBy.HOLD)]
    if not signals.is_first_look:
        rungs += _fall_back(spec, signals, memory, met)
        rungs += _capped(met.drained, current, rungs[-1].replicas)
        if met.is_high:
            rungs += _given_back(spec, signals, memory, met, rungs[-1].replicas)
    bounds = _bounds(spec, rungs[-1].replicas)
    return rungs if bounds.replicas == rungs[-1].replicas else [*rungs, bounds]


def _fall_back(spec: PoolSpec, signals: Signals, memory: Memory, met: Ceilings) -> list[_Rung]:
    """Take what the fallback of the queues says for their demand, if it applies."""
    current, failures = signals.workers.replicas, memory.history.failed_depth_readings
    wanted = fallback.asked(spec, failures, current)
    if spec.fallback is None or wanted is None:
        return []
    told = f"the depth of the queues has been unknown {failures} times in a row"
    rungs = [
        _Rung(Rung.FALLBACK, wanted, told, LimitedBy.FALLBACK),
        *_pace(spec, signals, memory, wanted),
    ]
    rungs += _capped(met.by_limit, current, rungs[-1].replicas)
    if spec.fallback.behavior not in fallback.LOWERING:
        kept = max(rungs[-1].replicas, current)
        rungs.append(_Rung(Rung.FLOOR, kept, "a reading that fails lowers nothing"))
    return rungs


def _given_back(
    spec: PoolSpec, signals: Signals, memory: Memory, met: Ceilings, replicas: int
) -> list[_Rung]:
    """Give back what the level took, as far as it and every ceiling that is known allow.

    What cannot be read now let the pool have so many a short while ago; more than that it asks for
    no longer. The provider has to tell the level: what is reckoned on rests on what is missing.
    """
    had, looks = memory.history.had, [one.bucket.latest for one in signals.llms.values()]
    if had is None or not all(look is not None and look.is_told for look in looks):
        return []
    known = {limit: one for limit, one in met.by_limit.items() if one.replicas is not None}
    if LimitedBy.TOKENS not in known:
        return []
    past = memory.history.scalings
    wanted = behavior.apply_policies(had.replicas, replicas, spec.behavior, past, signals.now)
    lately = f"{had.replicas} replicas were ready {signals.now - had.at:.0f} s ago"
    told = f"the bucket is high, and {lately}"
    rungs = [
        _Rung(Rung.LEVEL, max(wanted, replicas), told, LimitedBy.HOLD),
        *_capped(known, signals.workers.replicas, max(wanted, replicas)),
    ]
    return rungs if rungs[-1].replicas > replicas else []


def _breaker(verdict: Verdict, replicas: int) -> list[_Rung]:
    if verdict.cap is None:
        return []
    capped = min(replicas, verdict.cap.replicas)
    return [_Rung(Rung.BREAKER, capped, verdict.cap.reason, LimitedBy.QUOTA)]


def _paused(paused: Pause, current: int, replicas: int) -> list[_Rung]:
    if paused.kind is Paused.NONE:
        return []
    held = pause.hold(paused, current, replicas)
    return [_Rung(Rung.PAUSE, held, pause.reason(paused), LimitedBy.PAUSED)]


def _contested(contested: Contest | None, current: int, now: float) -> list[_Rung]:
    if contested is None or not contested.holds(now):
        return []
    return [_Rung(Rung.CONTEST, current, contest.reason(contested), LimitedBy.CONTESTED)]


def _left(paused: Pause, contested: Contest | None, signals: Signals, replicas: int) -> int:
    """Return what pauses and others leave of replicas."""
    current = signals.workers.replicas
    is_left_alone = contested is not None and contested.holds(signals.now)
    return current if is_left_alone else pause.hold(paused, current, replicas)


def _holding(spec: PoolSpec, claim: Claim, replicas: int, lately: int) -> Claim:
    """Let the claim say what the pool holds, what it is about to have, and wanted, if it acts."""
    if spec.mode is not Mode.ENFORCE:
        return claim
    return replace(claim, held=replicas, wanted_lately=lately)


def _wanted_lately(
    spec: PoolSpec, signals: Signals, memory: Memory, met: Ceilings, wanted: int
) -> int:
    """Return the most that the pool has wanted of late, below what it has for itself."""
    since = signals.now - LATELY_SECONDS
    asked = (one.replicas for one in memory.history.recommendations if one.at >= since)
    own = [met.by_limit[limit] for limit, _ in ceilings.OWN if limit in met.by_limit]
    allowed = (one.allows(signals.workers.replicas) for one in own)
    return min([max([wanted, *asked]), spec.max_replicas, *allowed])


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
