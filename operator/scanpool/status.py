"""From a decision to the status that people read, and whether it is worth a write."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple, overload

from scanpool.conditions import of_decision, of_failure, settle
from scanpool.models.budget import BudgetReport
from scanpool.models.decision import Ceiling, Decision, LimitedBy, MemoryReport, TokenReport
from scanpool.models.memory import Checkpoint, Quota
from scanpool.models.observation import Observation, QueueDepth
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import PoolSpec
from scanpool.models.status import (
    BudgetStatus,
    CeilingsStatus,
    ClaimantStatus,
    FigureStatus,
    LlmStatus,
    MemoryStatus,
    PoolStatus,
    QueueStatus,
    RefusalStatus,
    ScalingStatus,
    StepStatus,
)

KEPT_SCALINGS = 5
MEBIBYTE = 1024 * 1024
# Tokens per minute are shown to this many digits: the fourth is noise of the measurement.
SHOWN_DIGITS = 3
AMQP_NOTE = "amqp: ready messages only, unacked ones are not visible"


class Scaled(NamedTuple):
    """A change of replicas that the API server has taken."""

    before: int
    after: int


def of_tick(
    previous: PoolStatus,
    generation: int,
    spec: PoolSpec,
    observation: Observation,
    decision: Decision,
    checkpoint: Checkpoint,
    scaled: Scaled | None,
    refusal: Unavailable | None,
    now: float,
) -> PoolStatus:
    """Return the status after a tick; `refusal` is why the API server did not take a scaling."""
    scalings = previous.scalings
    if scaled is not None:
        entry = ScalingStatus(
            time=timestamp(now),
            from_replicas=scaled.before,
            to_replicas=scaled.after,
            limited_by=decision.limited_by,
            reason=decision.reason,
        )
        scalings = (entry, *scalings)[:KEPT_SCALINGS]
    depths = observation.queues if isinstance(observation.queues, Available) else None
    states = of_decision(spec, decision, refusal)
    return PoolStatus(
        observed_generation=generation,
        selector=observation.target.selector,
        replicas=observation.target.replicas,
        ready_replicas=observation.target.ready_replicas,
        desired_replicas=decision.desired,
        limited_by=decision.limited_by,
        backlog=None if depths is None else sum(depth.messages for depth in depths.value),
        backlog_source=None if depths is None else _backlog_source(depths.source),
        ceilings=_ceilings(decision),
        llm=None if decision.tokens is None else _llm(decision.tokens, decision.quota, now),
        queues=() if depths is None else _queues(spec, depths.value),
        memory=None if decision.memory is None else _memory(decision.memory),
        steps=tuple(
            StepStatus(step=step.step, before=step.before, after=step.after, reason=step.reason)
            for step in decision.steps
        ),
        last_scale_time=previous.last_scale_time if scaled is None else timestamp(now),
        scalings=scalings,
        conditions=settle(previous.conditions, states, generation, timestamp(now)),
        checkpoint=checkpoint,
    )


def of_failure_before(
    previous: PoolStatus, generation: int, failure: Unavailable, now: float
) -> PoolStatus:
    """Return the status of a pool that could not be decided on; what it last showed stays."""
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "limited_by": LimitedBy.HOLD,
            "conditions": settle(
                previous.conditions, of_failure(failure), generation, timestamp(now)
            ),
        }
    )


def timestamp(at: float) -> str:
    """Return seconds since the epoch as the API writes times: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@overload
def shown(value: float) -> int: ...
@overload
def shown(value: None) -> None: ...
@overload
def shown(value: float | None) -> int | None: ...
def shown(value: float | None) -> int | None:
    """Round a rate to the digits that are shown: 1,643,210 becomes 1,640,000."""
    return None if value is None else int(float(f"{value:.{SHOWN_DIGITS - 1}e}"))


def _backlog_source(source: str) -> str:
    return AMQP_NOTE if source == "amqp" else source


def _ceilings(decision: Decision) -> CeilingsStatus:
    def replicas(ceiling: Ceiling | None) -> int | None:
        return None if ceiling is None else ceiling.replicas

    return CeilingsStatus(
        tokens=replicas(decision.token_ceiling),
        requests=replicas(decision.request_ceiling),
        memory=replicas(decision.memory_ceiling),
    )


def _llm(report: TokenReport, quota: Quota, now: float) -> LlmStatus:
    headroom = report.headroom
    return LlmStatus(
        limit_tokens_per_minute=report.limit,
        limit_source=report.limit_source,
        used_tokens_per_minute=shown(report.used),
        used_source=report.used_source,
        own_tokens_per_minute=shown(report.own),
        others_tokens_per_minute=shown(report.others),
        headroom_tokens_per_minute=shown(headroom),
        headroom_percent=None
        if headroom is None or not report.limit
        else round(100 * headroom / report.limit),
        zone=report.zone,
        tokens_per_replica_minute=shown(report.tokens_per_replica),
        tokens_per_replica_source=report.cost_source,
        requests_per_minute_limit=report.requests_limit,
        requests_per_minute_used=shown(report.requests_used),
        rate_limited_per_minute=shown(report.rate_limited_per_minute),
        backoff_percent=round(100 * report.backoff_factor),
        tokens_per_replica_confidence_percent=None
        if report.tokens_per_replica is None
        else round(100 * report.cost_confidence),
        input_tokens_per_minute_limit=report.input_limit,
        output_tokens_per_minute_limit=report.output_limit,
        probe_tokens_per_minute=shown(report.probe),
        calls_per_task=None if report.calls_per_task is None else round(report.calls_per_task, 1),
        # Rounded up: what occurs is not to be shown as nothing.
        refusals=tuple(
            RefusalStatus(code=one.code, per_minute=shown(ceil(one.per_minute)))
            for one in report.refusals
        ),
        budget=None if report.budget is None else _budget(report.budget),
        figures=tuple(
            FigureStatus(name=one.name, source=one.source, at=timestamp(one.at))
            for one in report.figures
        ),
        quota=quota,
        observed_at=timestamp(now),
    )


def _budget(report: BudgetReport) -> BudgetStatus | None:
    """Return how the limit is shared; None for a pool that is alone on its key."""
    if not report.others:
        return None
    return BudgetStatus(
        tokens_per_minute=shown(report.total),
        claim_tokens_per_minute=shown(report.own.claim),
        grant_tokens_per_minute=shown(report.own.grant),
        others=tuple(
            ClaimantStatus(
                pool=one.pool,
                weight=one.weight,
                claim_tokens_per_minute=shown(one.claim),
                grant_tokens_per_minute=shown(one.grant),
            )
            for one in report.others
        ),
    )


def _queues(spec: PoolSpec, depths: Sequence[QueueDepth]) -> tuple[QueueStatus, ...]:
    prices = {queue.name: queue.tokens_per_message for queue in spec.rabbitmq.queues}
    return tuple(
        QueueStatus(
            name=depth.name,
            ready=depth.ready,
            unacked=depth.unacked,
            tokens_waiting=depth.messages * prices[depth.name],
        )
        for depth in depths
    )


def _memory(report: MemoryReport) -> MemoryStatus:
    return MemoryStatus(
        per_replica=f"{-(-report.per_replica // MEBIBYTE)}Mi",
        per_replica_source=report.per_replica_source,
        fits=report.fits,
        nodes=report.nodes,
    )
