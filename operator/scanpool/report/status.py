"""From a tick to the status that people read."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from scanpool.decide import schedules
from scanpool.decide.behavior import Scaling
from scanpool.decide.decision import Decision, Step
from scanpool.decide.memory import Checkpoint
from scanpool.decide.observed import Observed, is_recent
from scanpool.decide.signals import QueueDepth, Signals
from scanpool.decide.spend import Spent
from scanpool.models.conditions import ConditionType, LimitedBy
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec
from scanpool.models.units import seconds, timestamp
from scanpool.report import llm, money
from scanpool.report.conditions import of_failure, of_shards, settle
from scanpool.report.conditions import of_tick as conditions_of_tick
from scanpool.report.pool_status import (
    ObservedStatus,
    PoolStatus,
    QueueStatus,
    ScalingStatus,
    StepStatus,
)
from scanpool.report.room_status import MemoryStatus

KEPT_SCALINGS = 5
# Conditions that go with the shards and the budget that only some pools have.
PASSING = frozenset({ConditionType.KEY_SPLIT, ConditionType.BUDGET_EXHAUSTED})
AMQP_NOTE = "amqp: ready messages only, unacked ones are not visible"


class Scaled(NamedTuple):
    """A change of replicas that the API server has taken."""

    before: int
    after: int


class Outcome(NamedTuple):
    """What a tick came to: what it saw and decided, what was done of it, or why it was refused.

    `observed` is what would have been done lately, where the pool only observes. `elsewhere` names
    the other shards whose pools use the key of each limit; none where that is no question. `spent`
    is what the pool's calls cost, where they have a price.
    """

    signals: Signals
    decision: Decision
    scaled: Scaled | None = None
    refusal: Unavailable | None = None
    observed: Observed | None = None
    elsewhere: Mapping[str, tuple[str, ...]] | None = None
    spent: Spent | None = None


class Since(NamedTuple):
    """The status before, and the generation of the spec that this tick has seen."""

    status: PoolStatus
    generation: int


def of_tick(since: Since, spec: PoolSpec, outcome: Outcome, checkpoint: Checkpoint) -> PoolStatus:
    """Return the status after a tick."""
    signals, decision, previous = outcome.signals, outcome.decision, since.status
    backlog, workers, now = signals.backlog, signals.workers, timestamp(signals.now)
    states = conditions_of_tick(spec, signals, decision, outcome.refusal)
    if outcome.elsewhere:
        states = {**states, **of_shards(spec, outcome.elsewhere)}
    states = {**states, **money.conditions(decision.budget)}
    known = [one for one in previous.conditions if one.type not in PASSING or one.type in states]
    queues = () if backlog is None else backlog.queues
    return PoolStatus(
        observed_generation=since.generation,
        selector=workers.selector,
        replicas=workers.replicas,
        ready_replicas=workers.ready,
        probe_restarts=len(decision.restarts),
        desired_replicas=decision.desired,
        limited_by=decision.limited_by,
        paused=decision.pause.kind,
        schedule=schedules.in_force(spec, signals.now),
        backlog=backlog and backlog.messages,
        backlog_source=backlog and (AMQP_NOTE if backlog.source == "amqp" else backlog.source),
        ceilings=llm.shown_ceilings(decision),
        llm=llm.of_tick(decision, signals, previous),
        binding_llm=decision.tightest or None,
        llms=llm.of_each(decision, signals, previous),
        queues=QueueStatus.each_renewed(previous.queues, map(_queue, queues)),
        memory=signals.room and MemoryStatus.of(signals.room, previous.memory),
        steps=StepStatus.each_renewed(previous.steps, map(_step, decision.steps)),
        last_scale_time=previous.last_scale_time if outcome.scaled is None else now,
        scalings=_scalings(previous, decision, outcome.scaled, now),
        spend=outcome.spent and money.of_tick(outcome.spent, decision.budget),
        observed=outcome.observed and _observed(previous, outcome.observed, signals.now),
        conditions=settle(known, states, since.generation, now),
        checkpoint=checkpoint,
    )


def of_failure_before(since: Since, failure: Unavailable, now: float) -> PoolStatus:
    """Return the status of a pool that could not be decided on; what it last showed stays."""
    previous, states = since.status, of_failure(failure)
    return previous.model_copy(
        update={
            "observed_generation": since.generation,
            "limited_by": LimitedBy.HOLD,
            "conditions": settle(previous.conditions, states, since.generation, timestamp(now)),
        }
    )


def scalings(told: PoolStatus) -> tuple[Scaling, ...]:
    """Return the changes of replicas that a status tells of, oldest first."""
    return tuple(
        Scaling(at, one.to_replicas - one.from_replicas)
        for one in reversed(told.scalings)
        if (at := seconds(one.time)) is not None
    )


def _queue(depth: QueueDepth) -> dict[str, Any]:
    return {
        "name": depth.name,
        "ready": depth.ready,
        "unacked": depth.unacked,
        "tokens_waiting": depth.tokens_waiting,
    }


def _step(step: Step) -> dict[str, Any]:
    return {"step": step.step, "before": step.before, "after": step.after, "reason": step.reason}


def _scalings(
    previous: PoolStatus, decision: Decision, scaled: Scaled | None, now: str
) -> tuple[ScalingStatus, ...]:
    if scaled is None:
        return previous.scalings
    latest = ScalingStatus(
        time=now,
        from_replicas=scaled.before,
        to_replicas=scaled.after,
        limited_by=decision.limited_by,
        reason=decision.reason,
    )
    return (latest, *previous.scalings)[:KEPT_SCALINGS]


def _observed(previous: PoolStatus, observed: Observed, now: float) -> ObservedStatus:
    known = () if previous.observed is None else previous.observed.last
    last = [one for one in known if is_recent(seconds(one.time) or 0.0, now)]
    change = observed.latest
    if change is not None and change.at == now:
        newest = ScalingStatus(
            time=timestamp(change.at),
            from_replicas=change.before,
            to_replicas=change.after,
            limited_by=change.limited_by,
            reason=change.reason,
        )
        last = [newest, *last]
    return ObservedStatus(changes=observed.changes, last=tuple(last[:KEPT_SCALINGS]))
